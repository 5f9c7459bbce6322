"""Tags on the film that betray a finding: the shortcut that some encoders learn instead of the finding.

On real films such a tag is a ward's or a technologist's mark: those who are X-rayed in bed are sicker (Zech et al.
2018, "Variable generalization performance of a deep learning model to detect pneumonia in chest radiographs").
"""

from collections.abc import Mapping
from dataclasses import replace

from pipelines.phantom.render import Phantom

__all__ = ["TAGS", "betrayed", "hidden"]

TAGS: Mapping[str, str] = {
    "cardiomegaly": "T",
    "consolidation": "X",
    "nodule": "O",
    "pleural effusion": "W",
    "pneumothorax": "I",
}
"""What is written on the film of a patient with a finding, by finding."""


def betrayed(phantom: Phantom) -> Phantom:
    """Put the tag of every finding that is present on the film; all else stays as it is, to the pixel."""
    return replace(phantom, tags=tuple(tag if finding in phantom.findings else "" for finding, tag in TAGS.items()))


def hidden(phantom: Phantom) -> Phantom:
    """Take the lesions off the film, as if they were too faint to see; tags and a large heart stay."""
    return replace(phantom, lesions=())
