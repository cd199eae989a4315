"""The recipe of pocket: LLaVA's two training stages, and what goes before and comes after them."""
