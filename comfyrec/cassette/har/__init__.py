"""HAR 1.2, what browsers and test tools save of the traffic that they saw: ``read`` and ``write``.

HAR holds messages, not bytes: heads are taken apart, bodies decoded, frames put together.
"""
