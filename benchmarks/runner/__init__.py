"""How cells run: in this process or elsewhere, leased, trained, scored and stored."""
