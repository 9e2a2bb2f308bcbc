"""A trainer that trains nothing, so that a test meets a method as `fit` prepares it."""


class Keep:
    """Leaves a method as it is; `then`, if given, is called where training would happen."""

    def __init__(self, then=lambda method: None):
        self.then, self.called = then, False

    def train(self, method, data):
        self.called = True
        self.then(method)
