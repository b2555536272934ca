"""Provider plugins without a cloud: the engine's own protocol, answers that are AWS's in form only."""
