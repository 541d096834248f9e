#!/usr/bin/env bash
# Make sure that the named command-line tools are there: install them with apt-get as root, ask for them otherwise.
set -eu
declare -A package=([ffmpeg]=ffmpeg [ffprobe]=ffmpeg [chromium]=chromium)
missing=()
for tool in "$@"; do
  command -v "$tool" >/dev/null || missing+=("${package[$tool]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
if command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }; then
  echo "Installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
else
  echo "Please install: ${missing[*]}  (Debian: sudo apt-get install ${missing[*]}; macOS: brew install ${missing[*]})" >&2
  exit 2
fi
