"""The same six models in other libraries, each run in a process of its own (see ``_peer``)."""
