"""--cond: give encoder and decoder the label of each image, so that latents hold the rest."""

from latentia.core.errors import Error
from latentia.core.registries import modifier
from latentia.models.vae import VAE
from latentia.modifiers.supervise import check_label_columns
from latentia.nets.column_condition import ColumnCondition
from latentia.nets.film import modulate_layers
from latentia.training.plan import Plan


@modifier(before="multirate")
def cond(plan: Plan, cond: str = "label") -> Plan:
    """Give encoder and decoder the label of each image: the conditional VAE of Sohn et al. 2015.

    The label scales and shifts the output of each layer, so that any networks can be conditioned.

    Parameters
    ----------
    cond : COLUMN
        label column of the data, or of --labels, that encoder and decoder get: the latents carry
        the rest, and sample, reconstruct, decode, traverse and interpolate take --cond
    """
    model, images = plan.model, plan.images
    if not isinstance(model, VAE) or model.starts_fitted:
        raise Error("--cond needs a VAE whose encoder is trained; leave it out of this recipe.")
    check_label_columns("--cond", [cond], images)
    model.condition = ColumnCondition(cond, len(images.to_metadata()["labels"].get(cond) or ()))
    if not images.is_recorded:
        values = images.split("train").columns[cond]
        if len(values.unique()) < 2:
            raise Error(f"--cond: all training images have one {cond}; name another column.")
        model.condition.fit(values)
        try:
            model.condition.eval().encode(images.split("all").columns[cond])
        except Error as problem:
            text = str(problem).removesuffix(".")
            raise Error(f"--cond: {text} with --exclude.") from None
    for net in (model.encoder, model.decoder):
        modulate_layers(net, model.condition)
    return plan
