"""Check of quantised latents: codes that no image has."""

from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import WARNING, CheckResult, define_check
from latentia.diagnostics.run_context import RunContext
from latentia.latents.code_use import measure_code_use

MIN_USED = 0.5  # of those that as many positions would have if all codes were equally frequent


@define_check("dead codes", threshold=f"less than {MIN_USED:.0%} of the codes of a uniform use")
def dead_codes(context: RunContext) -> CheckResult | None:
    """Codes of quantised latents that a position of held-out images has, and their perplexity.

    Suggested change: more --epochs; or fewer --latent, which are fewer codes.
    """
    if not context.has_latents or context.is_short:
        return None
    use = measure_code_use(context.autoencoder, context.latent_table)
    if use is None or use.used >= MIN_USED * use.expected:
        return None
    return CheckResult(
        WARNING,
        f"at {use.positions:,} positions of held-out images {use.used:,} of {use.count:,} codes "
        f"are in use (perplexity {use.perplexity:.0f}); {use.expected:,.0f} would be if uniform.",
        "Tokens say less than the rate does, and uniform codes decode to unlike images.",
        {"used": use.used, "codes": use.count, "perplexity": use.perplexity},
        suggest.train_longer(context),
    )
