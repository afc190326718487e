"""Log certificates with MLflow or with Weights & Biases: figures, the page, a picture and the evidence.

Run: python examples/tracking.py FOLDER mlflow  (or wandb; nothing leaves the machine)
"""

import sys
from pathlib import Path

import numpy as np

import attricert as ac

EPS = (0.05, 0.1, 0.15)


def to_mlflow(certificate: ac.Certificate, folder: Path) -> None:
    """Into a database in the folder; without the first two lines, to where your MLflow is."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{(folder / 'mlflow.db').as_posix()}")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("certificates", (folder / "mlflow").as_uri()))
    with mlflow.start_run():
        mlflow.log_param("terms", certificate.terms.about)
        mlflow.log_metrics({f"least cosine at eps {eps}": certificate.cosine(eps).min().item() for eps in EPS})
        mlflow.log_artifacts(str(folder / "certified"))


def to_wandb(certificate: ac.Certificate, folder: Path) -> None:
    """Offline, in the folder; without mode and dir, to your account."""
    import wandb

    page = (folder / "certified" / "report.html").read_text(encoding="utf-8")
    with wandb.init(
        project="certificates", mode="offline", dir=folder, config={"terms": certificate.terms.about}
    ) as run:
        run.log({f"least cosine at eps {eps}": certificate.cosine(eps).min().item() for eps in EPS})
        run.log({"report": wandb.Html(page, inject=False), "map": wandb.Image(str(folder / "certified" / "map.png"))})
        run.log_artifact(str(folder / "certified" / "evidence.safetensors"), name="evidence", type="evidence")


def main(folder: str = ".", *trackers: str, n_samples: int = 500) -> ac.Certificate:
    """Certify three digits, write what there is to be logged to FOLDER/certified, and log it."""
    data = ac.datasets.load("mnist", split="sample")
    x, y = data.images[:3], data.labels[:3]
    smoothed = ac.SmoothedAttribution(ac.Saliency(ac.models.load("mnist-noise")), ac.UniformBall(radius=7.0))
    certificate = smoothed.certify(x, y, n_samples=n_samples, seed=0)
    out = Path(folder).absolute() / "certified"
    out.mkdir(exist_ok=True)
    certificate.save(out / "evidence.safetensors")
    (out / "report.html").write_text(ac.report.page(certificate, x, eps=EPS), encoding="utf-8")
    ac.plots.save_figure(ac.plots.attribution(certificate.maps[0], x[0], "overlay"), out / "map.png")
    least = np.floor(1000 * certificate.cosine(EPS).min(axis=0)) / 1000  # lower bounds, so rounded down
    print(", ".join(f"cosine {cosine:.3f} at eps {eps}" for cosine, eps in zip(least, EPS, strict=True)))
    for tracker in trackers:
        {"mlflow": to_mlflow, "wandb": to_wandb}[tracker](certificate, out.parent)
    return certificate


if __name__ == "__main__":
    main(*sys.argv[1:])
