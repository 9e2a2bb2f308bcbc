"""A trainer that trains nothing, so that a test meets a method as `fit` prepares it."""


class Keep:
    """Asks `method` for nothing; `then`, if given, is called where training would happen."""

    def __init__(self, then=lambda method: None):
        self.then = then

    def train(self, method, data):
        self.then(method)
