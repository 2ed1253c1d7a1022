"""What the plugin costs those who do not use it, and how our modules are imported under pytest."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HEAVY = ("aiohttp", "asyncio", "hypothesis", "msgspec", "PIL", "rich", "websockets")


def run(folder: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    (folder / "runs_twice.py").write_text(textwrap.dedent(code), encoding="utf-8")
    return subprocess.run(
        [sys.executable, *options, "runs_twice.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_a_run_that_does_not_use_it_imports_next_to_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import sys
        def test_it(pytestconfig):
            ours = [m for m in sys.modules if m.split(".")[0] in ("comfyrec", "fake_server")]
            assert sorted(ours) == [
                "comfyrec", "comfyrec.pytest_plugin", "comfyrec.testing",
                "comfyrec.testing.record_mode",
            ]
            assert pytestconfig.pluginmanager.has_plugin("comfyrec.pytest_plugin")
            assert [m for m in {HEAVY!r} if m in sys.modules] == []
        """
    )

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", timeout=60)

    assert result.ret == 0, result.stdout.str()


@pytest.mark.slow
def test_our_modules_are_left_to_python_and_a_users_tests_are_rewritten(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it(comfyui):\n"
        "    kinds = {type(sys.modules[name].__loader__).__name__ for name in sys.modules\n"
        "             if name.startswith(('comfyrec.testing', 'fake_server'))}\n"
        "    assert kinds == {'SourceFileLoader'}\n"
        "    assert type(__loader__).__name__ == 'AssertionRewritingHook'\n"
    )
    # As in an installed wheel, whose packages pytest marks for rewriting. Twice, as tools that
    # keep a process do: what the first run has imported is no trouble for the second.
    code = """
        import pytest

        class Installed:
            def pytest_configure(self):
                pytest.register_assert_rewrite("comfyrec", "fake_server")

        options = ["-q", "-p", "no:cacheprovider", "-W", "error", "test_it.py"]
        assert [pytest.main(options, [Installed()]) for _ in range(2)] == [0, 0]
        """

    result = run(tmp_path, code)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "rewritten" not in result.stdout
