"""The model card: README.md of an exported folder, made from the lineage; every name of others is escaped."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from fer_transfer.backbones.model_zoo import ZOO
from fer_transfer.export.onnx_file import OPSET, takes
from fer_transfer.export.told import Told
from fer_transfer.export.weights import architecture, loading_lines, timm_alone
from fer_transfer.faces.held_out import split_said
from fer_transfer.faces.source import SYNTHETIC
from fer_transfer.files.names import shown
from fer_transfer.inference.provenance import SplitScore
from fer_transfer.reports.markdown import escape_markdown
from fer_transfer.stages.lineage import FacesUsed, Lineage

#: What is known of the licences of releases, by their names.
_LICENCES = {
    "fer2013": "FER-2013: no licence of its pictures is known; they were found by searching the web, and the people in them were "
    "not asked. It is given out on Kaggle under the rules of its contest (Goodfellow et al. 2013).",
    "emotiw": "SFEW 2.0: frames of movies, given out by the EmotiW organisers against a signed agreement, for research, not to "
    "be passed on (Dhall et al. 2015). Ask them before you pass on weights that were trained on it.",
}

_IMAGENET = (
    "Where they are of ImageNet: its pictures may be used for non-commercial research and education only, by the terms under "
    "which they are given out. What that means for weights is not settled; ask before a commercial use."
)

_USES = """\
## Intended use

Research: reproducing and comparing recognition of posed and acted facial expressions, transfer learning on small data sets,
linear probes, teaching.

## Misuse

- **Expressions are not feelings.** The labels say what onlookers, or the finder of a search word, saw in a face. What somebody
  feels, intends or will do cannot be read off it (Barrett et al. 2019, *Emotional Expressions Reconsidered*).
- Not for decisions about people: hiring, teaching, policing, borders, health, credit, insurance, advertising. The European
  Union's AI Act (2024/1689, Article 5) prohibits systems that infer emotions at work and in education, with few exceptions.
- Not for watching people who did not agree to it, nor for telling who somebody is.
- Not for deciding anything on a single face: the intervals above are of averages.

## Limits

- **Who is in the data is not known.** Nothing that was read here says age, sex, skin or origin of the people in it. Web pictures
  and movies show some groups often and others hardly; errors by group were not measured, and must be expected to differ.
- Posed, acted and captioned faces, mostly frontal. Nothing is known of other cameras, light, masks, glasses or children.
- People agree with FER-2013's labels on about two of three faces; some expressions are rare in training (Disgust), and their
  numbers rest on few faces.
- A face that is cut otherwise than the training faces were gets other, usually worse, probabilities.
- The probabilities of a network say how it would bet on faces like its own, not how strong an expression is."""


def model_card(told: Told) -> str:
    """README.md with its YAML head."""
    lines = [*_head(told), "", *_title(told), "", *_use(told), "", *_data(told), "", *_numbers(told), "", _USES, ""]
    return "\n".join([*lines, *_licences(told), "", *_made(told), ""])


def _head(told: Told) -> list[str]:
    alone = len(told.networks) == 1 and timm_alone(told.networks[0])
    content = {
        "license": "other",
        "license_name": "see-below",
        "library_name": "timm" if alone else "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["facial-expression-recognition", "onnx", *(["timm"] if alone else []), "fer_transfer"],
        "model-index": [{"name": shown(told.about.name), "results": [_result(told, of) for of in told.about.scores]}],
    }
    if not told.about.scores:  # an index without results is none
        del content["model-index"]
    return ["---", yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000).rstrip(), "---"]


def _result(told: Told, score: SplitScore) -> dict[str, object]:
    caveats = f" ({'; '.join(told.about.caveats)})" if told.about.caveats else ""
    told_as = (
        f"accuracy on found faces, {score.correct}/{score.count}, Wilson {100 * score.level:.0f} % "
        f"[{100 * score.low:.1f}, {100 * score.high:.1f}]{', the epoch was chosen there' if score.selected else ''}"
    )
    metric = {"type": "accuracy", "value": round(score.accuracy, 4), "name": told_as}
    release, _, split = score.split.rpartition("/")
    dataset = {"name": shown(score.split + caveats), "type": shown(release), "split": shown(split)}
    return {"task": {"type": "image-classification"}, "dataset": dataset, "metrics": [metric]}


def _title(told: Told) -> Iterator[str]:
    yield f"# {escape_markdown(told.about.name)}"
    yield ""
    yield from _caveats(told)
    networks = "One network" if len(told.networks) == 1 else f"The mean of {len(told.networks)} networks"
    names = dict.fromkeys(architecture(of) for of in told.networks)
    face = "face in colour" if told.cutting.colour else "grey face"
    yield (
        f"{networks} ({escape_markdown(', '.join(names))}), giving probabilities of "
        f"{len(told.labels)} expressions for a cut {face}: {escape_markdown(', '.join(told.labels))}, in this order."
    )


def _caveats(told: Told) -> Iterator[str]:
    if told.about.caveats:
        yield f"**CAVEATS: {escape_markdown('; '.join(told.about.caveats))}**"
        yield ""


def _use(told: Told) -> Iterator[str]:
    yield "## How to use it"
    yield ""
    yield from ("```bash", "pip install 'fer_transfer[export]'", "fer-predict model=. input=photograph.jpg", "```", "")
    shape = (1, 48, 48, 3) if told.cutting.colour else (1, 48, 48)
    yield (
        f"`model.onnx` (opset {OPSET}) takes `faces`, uint8 {takes(told.cutting.colour)} 0..255, cut as below; resizing, "
        "cropping and normalising are inside. It gives `probabilities` (calibrated) and `logits` (before the temperature), "
        "float32 [N, "
        f"{len(told.labels)}]:"
    )
    yield from (
        "",
        "```python",
        "import numpy as np, onnxruntime",
        'session = onnxruntime.InferenceSession("model.onnx")',
        f'probabilities, logits = session.run(None, {{"faces": np.zeros({shape}, np.uint8)}})',
        "```",
        "",
    )
    for place, network in zip(told.places, told.networks, strict=True):
        alone = (
            "timm alone loads" if timm_alone(network) else "timm does not know this network; with this package it loads"
        )
        yield f"{alone} the weights of `{place}model.safetensors`; `{place}preprocessor_config.json` says their input:"
        yield from ("", "```python", *map(shown, loading_lines(network, f"{place}model.safetensors")), "```", "")
    yield f"Faces: {escape_markdown(told.cutting.said)}. `preprocessor_config.json` has every setting."


def _data(told: Told) -> Iterator[str]:
    yield "## What it was trained on"
    yield ""
    yield "| network | stage | faces | trained on | epoch chosen on | epochs | seed |"
    yield "| --- | --- | --- | --- | --- | ---: | ---: |"
    for number, network in enumerate(told.networks, 1):
        for stage in network.lineage.everything():
            of_teacher = "" if stage in network.lineage.stages else ", of a teacher"
            for used in stage.faces:
                chosen = used.selected_on if stage.chose_an_epoch else ()
                cells = (
                    str(number),
                    stage.name + of_teacher,
                    f"{used.release} ({used.digest[:12]})",
                    used.training_text(", ") or "-",
                    ", ".join(map(split_said, chosen)) or "none, the last was kept",
                    str(stage.recipe["epochs"]),
                    str(stage.seed),
                )
                yield f"| {' | '.join(map(escape_markdown, cells))} |"
    yield ""
    for weights in dict.fromkeys(network.lineage.weights for network in told.networks):
        yield f"- Initial weights: {escape_markdown(weights)}."


def _numbers(told: Told) -> Iterator[str]:
    yield "## How good it is"
    yield ""
    if told.about.scores:
        yield from _caveats(told)
        yield "| split | accuracy | 95 % interval (Wilson) | right / found faces | macro recall | |"
        yield "| --- | ---: | ---: | ---: | ---: | --- |"
        yield from (f"| {' | '.join(_cells(score))} |" for score in told.about.scores)
    else:
        yield "Not known: no labelled split was scored as this model is evaluated."
    yield ""
    temperature = told.about.temperature
    yield f"- Probabilities: {escape_markdown(temperature.line() if temperature else 'as the network gives them')}."
    yield f"- Export: {escape_markdown(told.checked.line())}."
    if told.loss is not None:
        yield f"- `model_int8.onnx`: {escape_markdown(told.loss.line())}."
    yield from (f"- Note: {escape_markdown(note)}." for note in told.about.notes)


def _cells(score: SplitScore) -> Sequence[str]:
    return (
        escape_markdown(score.split),
        f"{100 * score.accuracy:.1f} %",
        f"[{100 * score.low:.1f}, {100 * score.high:.1f}]",
        f"{score.correct} / {score.count}",
        f"{100 * score.macro_recall:.1f} %",
        "optimistic: the epoch was chosen there" if score.selected else "",
    )


def _licences(told: Told) -> Iterator[str]:
    yield "## Licences"
    yield ""
    yield "Whoever passes this folder on must have the right to. fer_transfer, which made it, is under the MIT licence. The rest:"
    yield ""
    used = (of for network in told.networks for stage in network.lineage.everything() for of in stage.faces)
    yield from dict.fromkeys(f"- {_licence_of(of)}" for of in used)
    lineages = {network.lineage.weights: (network.lineage, architecture(network)) for network in told.networks}
    yield from (f"- {_licence_of_weights(lineage, name, told)}" for lineage, name in lineages.values())


def _licence_of(used: FacesUsed) -> str:
    if SYNTHETIC in used.caveats:
        return f"{escape_markdown(used.release)}: synthetic faces in the layout of this release, drawn by fer_transfer (MIT)."
    unknown = (
        f"{escape_markdown(used.release)}: the owners' licence is not recorded here; ask whoever made this folder."
    )
    known = _LICENCES.get(used.release, unknown)
    return known if not used.caveats else f"{known} Of these faces: {escape_markdown('; '.join(used.caveats))}."


def _licence_of_weights(lineage: Lineage, name: str, told: Told) -> str:
    if lineage.weights == "none":
        return "Initial weights: random; no ImageNet."
    network = next(of for of in told.networks if of.lineage is lineage)
    record: Any = network.network.pretrained_cfg
    licence = ZOO[name].licence if name in ZOO else record.get("license")
    stated = f"the published ones of this network are under: {licence}" if licence else "their licence is not recorded"
    return f"Initial weights {escape_markdown(lineage.weights)}: {escape_markdown(stated)}. {_IMAGENET}"


def _made(told: Told) -> Iterator[str]:
    yield "## How it was made"
    yield ""
    yield from (f"- {escape_markdown(text)}" for text in told.about.ensembles)
    for member in told.about.members:
        yield f"- {escape_markdown(f'{member.plan}, seed {member.seed}, stage {member.key}: {member.lineage}')}"
    yield ""
    yield (
        "Staged fine-tuning after Ng, Nguyen, Vonikakis and Winkler, *Deep Learning for Emotion Recognition on Small Datasets "
        "Using Transfer Learning* (ICMI 2015, doi:10.1145/2818346.2830593), with fer_transfer "
        f"{escape_markdown(told.versions['fer_transfer'])}. Each `model.safetensors` carries its whole lineage as metadata."
    )
