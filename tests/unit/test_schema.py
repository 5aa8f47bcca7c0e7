"""The committed schema of suite files is the one that the code checks."""

from __future__ import annotations

import yaml

from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.suites import suite_schema


def test_committed_schema_is_current_and_describes_every_key() -> None:
    committed = (CONFIG_DIR.parent / "workflow" / "schemas" / "config.schema.yaml").read_text()
    assert committed == suite_schema(), "run: ddcl schema > workflow/schemas/config.schema.yaml"
    schema = yaml.safe_load(committed)
    for model in (schema, *schema["$defs"].values()):
        assert model["additionalProperties"] is False
        assert all("description" in key for key in model["properties"].values())
