"""Words that name nobody: a label, manufacturer or quoted text that consists only of them may be shown."""

import re

from pipelines.findings import FINDINGS, added_words, known_findings

__all__ = ["is_maker", "is_plain", "is_reader_number", "plain_words"]

_WORD = re.compile(r"[^\W\d_]+")
_LONG_NUMBER = re.compile(r"\d{3}|\d[^\w\s]*\d[^\w\s]*\d")

# Words in labels of public box sets and of annotation tools, besides findings.
_OF_LABELS = frozenset(
    (
        *("a", "abnormal", "abnormality", "absent", "acute", "airspace", "alveolar", "and", "annotation", "aorta"),
        *("aortic", "apex", "apical", "arm", "artefact", "artery", "artifact", "asymmetry", "atelectasis", "azygos"),
        *("base", "basal", "bilateral", "body", "bone", "bones", "box", "bronchiectasis", "bronchial", "bronchus"),
        *("calcification", "calcified", "carina", "catheter", "cavitation", "cavity", "central", "chest", "chronic"),
        *("clavicle", "clip", "clips", "collapse", "congestion", "consolidation", "contour", "copd", "cyst"),
        *("cystic", "deformity", "device", "devices", "diaphragm", "diffuse", "disease", "diseases", "distortion"),
        *("dome", "effusion", "electrode", "elevated", "elevation", "emphysema", "enlarged", "enlargement"),
        *("esophagus", "fibrosis", "finding", "findings", "fissure", "fluid", "foreign", "fracture", "fractures"),
        *("free", "gas", "gastric", "goitre", "granuloma", "ground", "glass", "hardware", "heart", "hernia"),
        *("hiatal", "high", "hila", "hilar", "hilum", "honeycombing", "hyperinflation", "ild", "image", "increased"),
        *("infiltrate", "infiltration", "inflation", "interstitial", "kyphosis", "label", "left", "lesion"),
        *("lesions", "line", "lines", "linear", "lobe", "low", "lower", "lucency", "lung", "lungs", "lymph"),
        *("lymphadenopathy", "marker", "markers", "mass", "medial", "mediastinal", "mediastinum", "metal"),
        *("metastasis", "mid", "middle", "miliary", "misc", "miscellaneous", "module", "multiple", "nasogastric"),
        *("no", "node", "nodes", "nodular", "nodule", "normal", "object", "obscured", "of", "old", "opacities"),
        *("opacity", "or", "osteopenia", "other", "others", "pacemaker", "pattern", "picc", "pleura", "pleural"),
        *("plate", "pneumonia", "port", "postoperative", "pneumomediastinum", "pneumothorax", "post", "present"),
        *("prosthesis", "pulmonary", "quality", "region", "reticular", "rib", "ribs", "right", "rotation", "scar"),
        *("scarring", "sclerosis", "scoliosis", "septal", "shadow", "shift", "shoulder", "silhouette", "single"),
        *("skin", "soft", "spine", "sternal", "sternotomy", "sternum", "stent", "stomach", "strange", "mark"),
        *("subcutaneous", "support", "surgery", "surgical", "suspected", "suspicious", "suture", "thickening"),
        *("thoracic", "thorax", "thickened", "tissue", "to", "trachea", "tracheal", "tracheostomy", "tube", "tubes"),
        *("tuberculosis", "tb", "tumor", "tumour", "uncertain", "unchanged", "unclear", "unknown", "unremarkable"),
        *("unspecified", "upper", "valve", "vascular", "vein", "vertebra", "vertebral", "vessel", "volume", "wall"),
        *("wire", "wires", "zone", "accession", "bbox", "category", "class", "columns", "dicom", "file", "filename"),
        *("height", "id", "identifier", "issuer", "its", "path", "patient", "phrase", "reader", "report", "rows"),
        *("sop", "study", "text", "uid", "width", "x", "y", "number", "instance", "series", "are", "impression"),
    )
)
_OF_MAKERS = frozenset(
    (
        *("agfa", "agfagevaert", "gevaert", "ab", "ag", "and", "bv", "canon", "carestream", "carl", "care", "co"),
        *("company", "corp", "corporation", "del", "delft", "digital", "diagnostic", "drgem", "dr", "eastman"),
        *("electric", "electronics", "europe", "film", "fuji", "fujifilm", "ge", "general", "gmbh", "group"),
        *("health", "healthcare", "healthineers", "hologic", "image", "imaging", "inc", "iray", "italray", "johnson"),
        *("jungwon", "kg", "kodak", "konica", "kubtec", "limited", "lodox", "ltd", "luminos", "medecom", "medical"),
        *("mindray", "minolta", "mobile", "nv", "oldelft", "philips", "photo", "plc", "pvt", "radiography"),
        *("rayence", "sa", "samsung", "sedecal", "sectra", "shimadzu", "siemens", "sirona", "srl", "star"),
        *("stephanix", "swissray", "system", "systems", "technologies", "technology", "the", "toshiba", "triathlon"),
        *("uih", "united", "varex", "varian", "vidar", "vieworks", "villa", "visaris", "wuxi", "x", "ray", "xray"),
        *("audit", "ib", "m", "phantom"),
    )
)
_READER = re.compile(
    r"(?:r|rad|reader|radiologist|annotator)?[ _-]?\d{1,3}\Z|phantom\Z|reader-[0-9a-f]{8}\Z", re.IGNORECASE
)


def is_plain(text: str) -> bool:
    """Return True if a text contains only findings, places in the chest and words of tables."""
    if text.casefold() in known_findings():
        return True
    words = [word.casefold() for word in _WORD.findall(text)]
    plain = (_OF_LABELS, _OF_FINDINGS, added_words())
    return _LONG_NUMBER.search(text) is None and all(any(word in known for known in plain) for word in words)


def plain_words(text: str) -> list[str]:
    """Return the words of a text that are shown in any context, in order."""
    return [word for word in re.findall(r"\w+", text.casefold()) if is_plain(word)]


def is_maker(text: str) -> bool:
    """Return True if a text is a manufacturer's name as in headers."""
    words = [word.casefold() for word in _WORD.findall(text)]
    return bool(words) and _LONG_NUMBER.search(text) is None and all(word in _OF_MAKERS for word in words)


def is_reader_number(text: str) -> bool:
    """Return True if a reader is already identified by a number or by a key."""
    return _READER.match(text) is not None


_OF_FINDINGS = frozenset(word.casefold() for finding in FINDINGS for word in _WORD.findall(finding))
