"""The command that lists the recipes."""


def recipes() -> None:
    """List the recipes: what each reproduces, its default data, expected results."""
    from latentia.runs.recipes import list_recipes, read_card

    for name in list_recipes():
        recipe = read_card(name)
        default = f"--data {recipe.default_data}" if recipe.default_data else "--autoencoder RUN"
        print(f"{name}  ({default})\n    {recipe.summary}")
        for line in recipe.details.splitlines():
            print(f"    {line.strip()}".rstrip())
        print()
    print("latentia train RECIPE --help shows a recipe's options; my.py:mine trains your own.")
