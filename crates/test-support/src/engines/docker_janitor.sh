# Clears up behind one private dockerd once standard input ends, which it does however the test ends.
# Ends only processes whose command line names the engine's own folder, and the containers of those.
folder=$1 bridge=$2 addresses=$3 cgroup=$4
# A terminal's Ctrl-C is for the test.
trap '' INT HUP TERM
while read -r _; do :; done

# The process ids of all whose command line has the folder and then $1 in it.
# By standard input, or grep would find itself.
ours() {
  printf '%s/%s' "$folder" "$1" | grep -lsaFf - /proc/[0-9]*/cmdline | sed 's,/proc/\([0-9]*\)/cmdline,\1,'
}

# A container's first process is the child of its shim, which names the engine's containerd.
kill_containers() {
  for shim in $(ours exec/containerd/containerd.sock); do
    grep -qsaF containerd-shim "/proc/$shim/cmdline" || continue
    for child in $(cat "/proc/$shim"/task/*/children 2>/dev/null); do kill -KILL "$child" 2>/dev/null; done
  done
}

kill_containers
engine=$(ours docker.sock | grep -xF "$(cat "$folder/pid" 2>/dev/null)")
if [ -n "$engine" ]; then
  kill -CONT "$engine"
  kill -TERM "$engine"
  looks=0
  while [ -s "/proc/$engine/cmdline" ] && [ "$looks" -lt 300 ]; do
    looks=$((looks + 1))
    sleep 0.05
    [ "$((looks % 20))" -ne 0 ] || kill_containers
  done
fi
kill_containers
for process in $(ours ''); do kill -KILL "$process" 2>/dev/null; done

for address in "$folder"/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/*/address; do
  [ ! -f "$address" ] || rm -f "$(sed 's,^unix://,,' "$address")"
done
awk -v below="$folder/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r |
  while read -r mount; do umount -l "$mount"; done
# Networks that were made in the engine have bridges with addresses of its range.
ip -o -4 address show | awk -v range="$addresses" 'index($4, range) == 1 { print $2 }' |
  while read -r link; do [ "$link" = "$bridge" ] || ip link delete "$link"; done
find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null
rm -rf "$folder"
ip -o link show master "$bridge" | sed 's/^[0-9]*: \([^@:]*\).*/\1/' | while read -r link; do ip link delete "$link"; done
# Last: as long as the bridge is there, the range is taken.
ip link delete "$bridge" 2>/dev/null
