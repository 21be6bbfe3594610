"""What the hub's own tools (huggingface_hub) say of a cache, as JSON; run by tools.rs.

    hub_cache.py scan ROOT                      repositories, revisions, files, warnings
    hub_cache.py load ROOT ID                   the snapshot and each file's path, without the network
    hub_cache.py fetch ROOT ID ENDPOINT         downloads it
"""

import json
import os
import sys

os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")

import huggingface_hub as hub


def scan(root):
    info = hub.scan_cache_dir(root)
    repos = {
        repo.repo_id: {
            revision.commit_hash: {
                "refs": sorted(revision.refs),
                "files": {str(f.file_path.relative_to(revision.snapshot_path)): f.size_on_disk for f in revision.files},
            }
            for revision in repo.revisions
        }
        for repo in info.repos
    }
    return {"repos": repos, "warnings": [str(warning) for warning in info.warnings]}


def load(root, repo):
    snapshot = hub.snapshot_download(repo, cache_dir=root, local_files_only=True)
    names = [os.path.join(d, n) for d, _, found in os.walk(snapshot) for n in found]
    names = sorted(os.path.relpath(name, snapshot) for name in names)
    return {"snapshot": snapshot, "files": [hub.try_to_load_from_cache(repo, name, cache_dir=root) for name in names]}


def fetch(root, repo, endpoint):
    return {"snapshot": hub.snapshot_download(repo, cache_dir=root, endpoint=endpoint)}


if __name__ == "__main__":
    print(json.dumps({"scan": scan, "load": load, "fetch": fetch}[sys.argv[1]](*sys.argv[2:])))
