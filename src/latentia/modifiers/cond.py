"""--cond: give both networks the label of each image, so that latents hold the rest."""

from latentia.core.errors import Error
from latentia.core.registries import modifier
from latentia.models.gan import GAN
from latentia.models.vae import VAE
from latentia.modifiers.supervise import check_label_columns
from latentia.nets.column_condition import ColumnCondition
from latentia.training.plan import Plan


@modifier(before="multirate")
def cond(plan: Plan, cond: str = "label") -> Plan:
    """Give both networks the label of each image, in a VAE (Sohn et al. 2015) or a GAN.

    The label scales and shifts the output of each layer, so that any networks can be conditioned.
    A GAN is then that of Mirza & Osindero 2014, arXiv 1411.1784, and needs a column of classes.

    Parameters
    ----------
    cond : COLUMN
        label column of the data, or of --labels, that encoder and decoder, or generator and critic
        get: the latents carry the rest, and sample, reconstruct, decode, traverse and interpolate
        take --cond
    """
    model, images = plan.model, plan.images
    if not isinstance(model, VAE | GAN):
        raise Error("--cond needs a VAE or a GAN; leave it out of this recipe.")
    check_label_columns("--cond", [cond], images)
    num_classes = len(images.to_metadata()["labels"].get(cond) or ())
    if isinstance(model, GAN) and not num_classes:
        # the features of numbers are trained, and both players would have them
        raise Error(
            f"--cond of a GAN needs a column of classes, and {cond} holds numbers; name another, or"
            f" give --label-kind {cond}=class."
        )
    condition = ColumnCondition(cond, num_classes)
    if not images.is_recorded:
        values = images.split("train").columns[cond]
        if len(values.unique()) < 2:
            raise Error(f"--cond: all training images have one {cond}; name another column.")
        condition.fit(values)
        try:
            condition.eval().encode(images.split("all").columns[cond])
        except Error as problem:
            text = str(problem).removesuffix(".")
            raise Error(f"--cond: {text} with --exclude.") from None
    model.add_condition(condition)
    return plan
