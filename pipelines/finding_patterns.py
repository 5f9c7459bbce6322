"""Regular expressions for each finding, as radiologists word them; a space matches any white space.

Later patterns do not see text that an earlier one has matched, so specific patterns come before general ones. To add a
wording, add it to its finding; to add a finding, add a key.

Source: the mention lists of CheXpert's labeller (Irvin et al. 2019), the label sets of NIH ChestX-ray14, VinDr-CXR,
REFLACX and ChestX-Det, and wordings found in the OpenI reports. "Air-space disease" and similar terms are
consolidation, not "lung opacity" as in CheXpert, because consolidation fills the air-spaces (Hansell et al. 2008,
Fleischner Society glossary, "airspace").
"""

__all__ = ["LOOKALIKES", "WORDINGS"]

_ENLARGED = r"(?:enlarged|prominent|widened|dilated|increased)"
_DEGREE = r"(?:mild|moderate|marked|severe|minimal|slight|gross|significant|borderline|massive|diffuse)(?:ly)?"
_BEING = (  # the words between "the heart" and "enlarged"
    rf"(?:,? which|, (?:though|although|while|but) [^,;.]{{0,60}},)?"
    rf"(?: (?:is|are|was|were|appears?|remains?|seems?|has|have|been|to|be|again|still|now|not|also|and|stabl[ey]|"
    rf"may|might|could|can|cannot|probably|possibly|likely|perhaps|somewhat|unchanged|persistently|no longer|longer|"
    rf"top|normal|at least|rather|quite|very|a bit|{_DEGREE})){{0,6}}"
)
_HEART = (
    r"(?:(?:heart|cardiac|cardio[\s-]?pericardial) (?:silhouette|contours?|shadow|size|outline|border)|heart|"
    r"cardiopericardial silhouette)"
)
_ANGLE = r"(?:costophrenic|cardiophrenic|cp) (?:angles?|sulcus|sulci|recess(?:es)?)"
_MEDIASTINUM = r"(?:(?:superior |upper )?(?:cardio)?mediastin(?:um|al(?: (?:silhouette|contours?|shadow|width))?))"
_PULMONARY_ARTERY = r"(?:the )?(?:main |central )?pulmonary arter(?:y|ies)"
_OPACITY = r"(?:opacit(?:y|ies)|densit(?:y|ies))"

_OF_LUNG = (
    r"(?:patchy|hazy|increased|focal|vague|linear|streaky|rounded|ill[\s-]defined|asymmetric|basilar|retrocardiac|"
    r"lobe|lung|perihilar|parenchymal|confluent)"
)

_JOINTS = (
    r"(?:(?:knee|hip|elbow|ankle|shoulder|wrist|glenohumeral|acromioclavicular|sternoclavicular|facet|"
    r"suprapatellar)(?: joints?)?|"
    r"joints?|pericardi(?:al|um)|subdural|mastoid|middle ear|subdeltoid|bursal?)"
)
_ORGANS = (
    r"(?:renal|kidneys?|adrenals?|hepatic|liver|splenic|spleen|breasts?|abdom(?:inal|en)|axill(?:ary|ae?)|neck|"
    r"pelvi[cs]|"
    r"pancrea\w*|ovar\w+|atrial|bowel|scalp)"
)

LOOKALIKES = (
    r"pericardial (?:effusions?|fluid|thickening|calcifications?)",
    r"mass effect",
    r"body mass",
    r"bone densit(?:y|ies)",
    r"(?:pleural|thoracic|abdominal|oral|chest) cavit(?:y|ies)",
    r"soft[\s-]tissue o?edema",
    # Fluid, a mass or a density of another part of the body.
    rf"{_JOINTS}(?: joints?)? effusions?",
    rf"effusions? (?:of|in|at|about|around) (?:the )?(?:left |right |both )?{_JOINTS}\w*",
    rf"(?:soft[\s-]tissue|muscle|{_ORGANS}) (?:mass(?:es)?|nodul(?:es?|arity)|cysts?)",
    rf"(?:mass(?:es)?|nodules?|cysts?) (?:of|in|within) (?:the )?(?:left |right )?{_ORGANS}",
    r"(?:breast(?: tissue)?|bony|soft[\s-]tissue|metal(?:lic)?|fat|contrast|barium|bone(?: mineral)?) densit(?:y|ies)",
    r"(?:renal|respiratory|liver|hepatic|kidney|ventilatory|hardware|treatment|technical|multi[\s-]?organ) failure",
    r"(?:vertebral|tracheal|airway|disc|disk|stent)(?: \w+)? collapse",
    r"mediastinal emphysema",
    r"(?:airway|bronchial|duct(?:al)?) ectasia",
    r"non[\s-]?calcified",
    r"lead (?:apron|shield\w*|poisoning)",
    # The finding is named, but as an adjective of another word.
    r"post[\s-]?pneumonectomy",
)
WORDINGS: dict[str, tuple[str, ...]] = {
    "subcutaneous emphysema": (r"(?:subcutaneous|soft[\s-]tissue|surgical|chest wall) (?:emphysema|air|gas)",),
    "pleural thickening": (
        r"pleuro[\s-]?parenchymal (?:thickening|scarring|scars?)",
        r"(?:bi)?apical thickening",
        r"pleural(?: (?!effusions?|fluid)\w+){0,2} (?:thickening|scarring|scars?)",
        r"thickening of (?:the )?(?:\w+ ){0,2}pleura",
        r"(?:bi)?apical (?:pleural )?cap(?:s|ping)?",
        r"fibrothorax",
    ),
    "pleural other": (r"pleural (?:(?:\w+ )?plaques?|calcifications?|abnormalit(?:y|ies)|nodularity|mass(?:es)?)",),
    "pneumothorax": (r"(?:(?:hydro|ha?emo)[\s-]?)?pneumothora(?:x|ces|xes)", r"ptx"),
    "pleural effusion": (
        r"(?:(?:pleural|parapneumonic|sub[\s-]?pulmonic|loculated) )*effusions?",
        r"(?:free |loculated )?pleural (?:based )?fluid(?: collections?)?",
        r"(?:hydro|ha?emo|chylo|pyo)thora(?:x|ces)",
        r"(?:pleural|parapneumonic) (?:and|or|/) pericardial effusions?",
        r"(?:(?:loculated|free) )?pleural (?:fluid )?collections?",
        r"loculated fluid",
        (
            r"fluid (?:\w+ ){0,3}(?:in|within|along|tracking into) (?:the |both )?(?:\w+ ){0,2}(?:fissures?|"
            r"pleural (?:space|cavit)\w*)"
        ),
        r"fissural fluid",
        r"layering fluid",
        # The sign means an effusion only if the sentence does not itself name its cause.
        rf"blunt(?:ing|ed) (?:of )?(?:the )?(?:\w+ ){{0,5}}{_ANGLE}(?!.*(?:effusion|thickening|scar|fluid|atelecta))",
        rf"{_ANGLE}{_BEING} blunt(?:ed|ing)(?!.*(?:effusion|thickening|scar|fluid|atelecta))",
    ),
    "enlarged cardiomediastinum": (
        rf"{_ENLARGED} (?:\w+ )?{_MEDIASTINUM}",
        rf"{_MEDIASTINUM}{_BEING} (?:enlarged|prominent|widened|wide|increased)",
        r"mediastinal (?:widening|enlargement|prominence)",
        rf"(?:widening|enlargement) of (?:the )?{_MEDIASTINUM}",
        r"wide mediastinum",
    ),
    "cardiomegaly": (
        r"cardiomegaly",
        rf"{_ENLARGED} {_HEART}",
        rf"{_HEART}(?: size)?:?{_BEING} (?:enlarged|enlargement|prominent|large|big|increased(?: in size)?)",
        rf"(?:large|big) {_HEART}",
        r"enlargement of (?:the )?(?:cardiac|heart) \w+",
        r"(?:cardiac|heart) enlargement",
        rf"enlargement of (?:the )?{_HEART}",
        r"increased? (?:in )?(?:heart|cardiac) size",
        (
            rf"(?:cardio[\s-]?thoracic (?:ratio|index)|ctr){_BEING} (?:increased|enlarged|elevated|raised|abnormal|"
            rf"(?:above|over|>)"
            r" (?:50|55|0\.5)\S*)"
        ),
        r"(?:increased|enlarged|elevated|raised) (?:cardio[\s-]?thoracic (?:ratio|index)|ctr)",
    ),
    "enlarged pulmonary artery": (rf"{_ENLARGED} {_PULMONARY_ARTERY}", rf"enlargement of {_PULMONARY_ARTERY}"),
    "aortic enlargement": (
        r"ectasia(?: of the aorta)?",
        (
            rf"(?:aortic|aorta)(?: (?:arch|knob|root))?{_BEING} (?:enlarge(?:d|ment)|dilat\w+|ecta(?:sia|tic)|"
            rf"aneurysm\w*|unfolded)"
        ),
        (
            r"(?:ectatic|dilated|enlarged|aneurysmal|unfolded) (?:to )?(?:thoracic |ascending |"
            r"descending )?aort(?:a|ic \w+)"
        ),
    ),
    "enlarged hilum": (
        (
            rf"hil(?:ar|um|a)(?: (?:regions?|contours?|shadows?))?{_BEING} (?:enlarge(?:d|ment)|prominen\w+|"
            rf"full(?:ness)?|bulk(?:y|iness)|"
            r"large|dense)"
        ),
        r"hilar (?:(?:lymph)?adenopathy|mass(?:es)?)",
        rf"(?:{_ENLARGED}|bulky) (?:\w+ )?hil(?:um|a|ar \w+)",
        (
            r"(?:enlargement|prominence|fullness|bulkiness) of (?:the )?(?:\w+ )?hil(?:um|a|ar (?:regions?|shadows?|"
            r"contours?))"
        ),
    ),
    "mediastinal shift": (
        r"(?:mediastinal|tracheal)(?: \w+)? (?:shift|deviation|displacement)",
        r"(?:shift|deviation|displacement) of (?:the )?(?:mediastin\w+|trachea)",
        r"(?:trachea|mediastinum) (?:is|are)(?: \w+)? (?:shifted|deviated|displaced)",
    ),
    "airway wall thickening": (
        r"(?:peri)?bronchial (?:wall )?(?:thickening|cuffing)",
        r"airway (?:wall )?thickening",
        r"thickening of the bronchial walls?",
    ),
    "interstitial lung disease": (
        r"interstitial (?:lung )?(?:disease|pattern|process|changes?|markings?|prominence|thickening)",
        r"(?:reticular|reticulo[\s-]?nodular) (?:pattern|markings?|changes?|opacit(?:y|ies))",
        r"reticulations?",
        r"honey[\s-]?combing",
    ),
    "nodule": (
        rf"(?:micro)?nodul(?:es?|ar(?:ity)?)(?: (?:{_OPACITY}|lesions?|shadows?|focus|foci))?",
        r"coin lesions?",
    ),
    "mass": (rf"(?:lung )?mass(?:es)?(?:[\s-]?like)?(?: (?:consolidations?|lesions?|{_OPACITY}))?",),
    "support devices": (
        r"(?:pleural|pigtail|drainage|intercostal|chest|surgical) drains?",
        r"(?:\w+ )?(?:tubes?|catheters?)",
        r"ett",
        r"tracheostomy",
        r"(?:central|picc|venous|ij|jugular|subclavian|arterial|monitoring) (?:venous )?lines?",
        r"picc",
        r"lines and tubes",
        r"swan[\s-]ganz(?: catheter)?",
        (
            r"(?:monitor(?:ing)?|ecg|ekg|telemetry|electrocardiograph\w*|overlying|external|electrode|cardiac|"
            r"pacemaker|epicardial)"
            r" (?:\w+ )?(?:leads?|wires?|electrodes?)"
        ),
        # The verb ("this leads to") is not a device.
        r"leads(?! (?:to|me|one|us)\b)",
        r"drains?(?! (?:in)?to\b)",
        r"cannula(?:e|s)?",
        r"lines? (?:or|and|/) (?:tubes?|drains?)",
        r"pace[\s-]?makers?",
        r"pacer",
        r"(?:pacing|pacer|icd|aicd|ventricular|atrial) (?:\w+ )?(?:leads?|wires?)",
        r"a?icd",
        r"defibrillators?",
        r"port[\s-]?a[\s-]?cath",
        r"medi[\s-]?port",
        r"(?:chest (?:wall )?|infusion |subclavian )port",
        r"(?:intra[\s-]?aortic )?balloon pump",
        r"(?:iabp|lvad)",
        r"stimulators?",
        r"(?:sternotomy|sternal|cerclage) (?:wires?|sutures?)",
        r"(?:surgical|cabg|mediastinal|vascular|hilar|axillary) (?:clips?|staples)",
        r"stents?",
        r"(?:prosthetic|artificial|mechanical) (?:\w+ )?valves?",
        r"valve (?:prosthesis|replacement)",
        r"(?:support|monitoring|pacing|cardiac)(?: and \w+)? devices?",
        r"spinal (?:fusion )?hardware",
    ),
    "consolidation": (
        r"consolidat\w+",
        rf"(?:air[\s-]?space|alveolar) (?:disease|opacifications?|process|infiltrates?|shadow\w*|{_OPACITY})",
    ),
    "edema": (
        r"(?:(?:pulmonary|interstitial|alveolar|vascular) )*o?edema",
        r"kerley(?:'?s)?(?: [abc])?(?: lines?)?",
        r"(?:congestive )?(?:(?:left )?(?:heart|cardiac|ventricular) )?failure(?! (?:to|of)\b)",
        rf"pulmonary (?:vessels|vasculature|vascularity){_BEING} (?:congested|engorged|distended)",
        r"(?:congested|engorged) (?:pulmonary )?(?:vessels|vasculature|vascularity)",
        r"upper[\s-](?:lobe|zone) (?:blood |venous |vascular )?diversion",
        r"chf",
        r"(?:pulmonary|vascular|venous|interstitial) (?:vascular |venous )?(?:congestion|engorgement|redistribution)",
        r"cephali[sz]ation",
        r"(?<!nasal\s)(?<!sinus\s)congestion",
    ),
    "infiltration": (rf"infiltrat(?:es?|ions?|ive)(?: {_OPACITY})?",),
    "pneumonia": (
        r"(?:broncho)?pneumonias?",
        r"infecti(?:ous|ve) (?:process|a?etiology|disease|changes?|infiltrates?|source)",
        r"(?:pulmonary|lung|chest|superimposed|acute|underlying|lobar|respiratory) infections?",
        r"infections?/",
    ),
    "atelectasis": (
        rf"atelecta(?:sis|ses|tic)(?: (?:changes?|bands?|streaks?|{_OPACITY}))?",
        r"collapse of (?:the )?(?:\w+ ){0,2}(?:lung|lobe|lingula)",
        r"collapsed (?:\w+ ){0,2}(?:lung|lobe)",
        (
            r"(?:lobe|lung|lingula)s?(?: (?:is|are|remains?|appears?|has|completely|partially|largely|now|again|"
            r"still)){1,3} collapsed"
        ),
        r"(?:(?:lobar|lobe|lung|segmental|subsegmental|pulmonary) )?collapse(?! (?:of|deformit))",
    ),
    "fracture": (r"fractur(?:es?|ed)",),
    "hernia": (r"(?:(?:hiatal|hiatus|diaphragmatic|bochdalek|morgagni|paraesophageal) )?hernia(?:s|tion)?",),
    "emphysema": (
        r"emphysema(?:tous)?(?: changes?)?",
        r"copd",
        r"chronic obstructive (?:pulmonary |lung )?disease",
        r"hyper[\s-]?(?:inflat|expan|aerat)\w+",
        r"high lung volumes?",
    ),
    "calcification": (
        r"calcifi(?:cations?|ed)(?: granulomas?)?",
        r"calcific densit(?:y|ies)",
        r"granuloma(?:s|ta|tous)?(?: (?:disease|changes?))?",
    ),
    "fibrosis": (r"(?:pulmonary )?fibro(?:sis|tic)(?: changes?)?", r"scar(?:s|ring)?"),
    "lung cavity": (r"cavit(?:y|ies|ary|ation|ating)(?: lesions?)?",),
    "lung cyst": (r"(?:lung|pulmonary|air) cysts?", r"cystic lucenc(?:y|ies)", r"bullae?", r"bullous \w+", r"blebs?"),
    "lung lesion": (
        r"(?:lung|pulmonary|parenchymal) lesions?",
        r"lesions? in the (?:\w+ ){0,3}(?:lung|lobe|apex|base)",
    ),
    "lung opacity": (
        r"opacit(?:y|ies)",
        r"opacifi(?:cations?|ed)",
        r"ground[\s-]?glass",
        r"haz(?:iness|e)",
        (
            r"(?:basal|lung|zone|base|apical|lobe|airspace|interstitial|perihilar|peripheral|parenchymal|diffuse|"
            r"focal) shadow(?:s|ing)?"
        ),
        r"shadowing",
        r"(?:patchy|hazy|ill[\s-]defined|vague|homogeneous) shadow(?:s|ing)?",
        rf"{_OF_LUNG} (?:[\w-]+ )?densit(?:y|ies)",
        (
            r"densit(?:y|ies) (?:\w+ ){0,4}(?:lungs?|lobes?|base|bases|apex|apices|zones?|lingula|hemithorax|hil\w+|"
            r"midlung)"
        ),
    ),
}
