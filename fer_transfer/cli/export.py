"""``fer-export``: write a row of a store as ONNX, as weights for timm, and as a folder with a model card."""

from typing import TYPE_CHECKING

from fer_transfer.cli.front import front, help_text

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from fer_transfer.export.exporting import Export

HELP = help_text(
    """\
fer-export: write what was trained as ONNX, safetensors and a model card.

  fer-export row=fer28_emotiw/resnet18 out=exported
                          all seeds of a row as one network, their mean
  fer-export row=sub3 seeds=0 out=exported
                          one seed
  fer-export row=[sub3,sub6] out=exported
                          an ensemble, or row=NAME of one of the study's
  fer-export row=sub3 out=exported int8=true
                          also in int8, with what that costs
  fer-export row=sub3 out=exported faces.emotiw=FOLDER
                          where the prepared faces are, to check on them

Each is checked against PyTorch; one that differs is not written.
To use it: fer-predict model=exported input=photograph.jpg
""",
    ["study"],
    "written",
)


def task(config: "DictConfig") -> "Export":
    """Export what the configuration names, and print what was written."""
    from fer_transfer.cli.rows import model_of_rows
    from fer_transfer.config import path_given, plain
    from fer_transfer.errors import ConfigError
    from fer_transfer.files.names import shown

    settings = plain(config)
    out = path_given(settings, "out")
    for name in ("int8", "calibrated", "replace"):
        if not isinstance(settings[name], bool):
            raise ConfigError(f"Expected {name} to be true or false, but got {settings[name]!r}.")
    model = model_of_rows(settings, device="cpu")
    print("\n".join(map(shown, model.about.lines())), flush=True)
    # Imported here so that --help and mistakes in the configuration do not wait for torch.
    from fer_transfer.export.exporting import export_model

    faces = {word: str(folder) for word, folder in settings["faces"].items() if folder}
    written = export_model(model, out, faces, settings["int8"], settings["replace"])
    print("\n".join(map(shown, written.lines())), flush=True)
    return written


def main() -> None:
    """Entry point of the command."""
    front("fer-export", HELP, "export")
    from fer_transfer.cli.app import run  # Hydra: what is above does not wait for it

    run("export", task)


if __name__ == "__main__":
    main()
