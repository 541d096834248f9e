#!/usr/bin/env bash
# Make sure that the named command-line tools and libraries are there: install them with apt-get as root, ask for them otherwise.
set -eu
PATH=$PATH:/usr/sbin:/sbin
declare -A package=([ffmpeg]=ffmpeg [ffprobe]=ffmpeg [chromium]=chromium [libatomic.so.1]=libatomic1)
missing=()
for tool in "$@"; do
  case "$tool" in
    # A library, of which only Linux keeps a list.
    *.so.*) ! command -v ldconfig >/dev/null || ldconfig -p | grep -q "$tool" || missing+=("${package[$tool]}") ;;
    *) command -v "$tool" >/dev/null || missing+=("${package[$tool]}") ;;
  esac
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
