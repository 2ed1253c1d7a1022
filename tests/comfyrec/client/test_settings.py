"""Argument, environment, default, in that order."""

from __future__ import annotations

import pytest

from comfyrec.client.settings import VARIABLES, ClientSettings, settle
from comfyrec.errors import UsageError

NUMBERS = [field for field in VARIABLES if field != "client_id"]


@pytest.mark.parametrize("field", VARIABLES)
def test_every_setting_comes_from_argument_then_environment_then_default(
    field: str,
):
    variable = VARIABLES[field][0]
    text = field == "client_id"
    given, said = ("mine", "theirs") if text else (7.5, 8.5)

    by_argument = settle({variable: str(said)}, **{field: given})
    by_environment = settle({variable: str(said)}, **{field: None})
    by_default = settle({})

    assert getattr(by_argument, field) == given
    assert getattr(by_environment, field) == said
    assert getattr(by_default, field) == getattr(ClientSettings(), field)


def test_there_is_a_variable_for_every_setting():
    assert set(VARIABLES) == set(ClientSettings.__struct_fields__)


def test_the_idle_limit_has_its_default_its_variable_and_its_floor():
    assert settle({}).idle_limit_s == 5.0
    assert settle({"AUTOFLOW_WS_IDLE_TIMEOUT_S": "9"}).idle_limit_s == 9.0
    assert settle({"COMFYREC_IDLE_LIMIT_S": "0.01"}).idle_limit_s == 0.5
    assert settle({"COMFYREC_IDLE_LIMIT_S": "9"}, idle_limit_s=0.1).idle_limit_s == 0.5


def test_the_idle_limit_does_not_depend_on_the_connect_timeout():
    assert settle({}, connect_timeout_s=60).idle_limit_s == 5.0


@pytest.mark.parametrize("value", ["x", "0", "-1", "nan", "inf"])
@pytest.mark.parametrize("field", NUMBERS)
def test_a_number_that_is_none_is_refused_by_its_name(field: str, value: str):
    variable = VARIABLES[field][0]
    with pytest.raises(UsageError, match=variable):
        settle({variable: value})


def test_a_setting_that_is_none_is_a_wrong_call():
    with pytest.raises(TypeError, match="idle_limt"):
        settle({}, idle_limt=3)
