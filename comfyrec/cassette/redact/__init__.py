"""Taking out of records, before they are written, what nobody else shall read.

``redactor`` is the door. Secrets: ``rules`` says what is one, ``secret_redactor`` takes it out; in
between there is one walk for each kind of place: ``head``, ``address``, ``text``, ``form``,
``pictures``. What tells of people, machines and pictures: ``pseudonyms``. ``recording`` does both
with a recording that is there already.
"""
