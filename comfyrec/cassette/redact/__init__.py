"""Taking secrets out of records before they are written.

``rules`` says what is a secret, ``secret_redactor`` takes it out of records; in between there is
one walk for each kind of place: ``head``, ``address``, ``text``, ``form``, ``pictures``.
"""
