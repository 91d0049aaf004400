# The guest from its second disk on: devices, network, iscsid, then commands from the second serial line.
mkdir -p /run/lock /run/udev /dev/pts /dev/shm
ln -s /proc/self/fd /dev/fd
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /var/tmp
hostname guest
ulimit -c 0
for module in virtio_net virtio_rng iscsi_tcp sd_mod sg dm_multipath scsi_dh_alua xfs loop; do modprobe $module; done
modprobe nbd nbds_max=4
/lib/systemd/systemd-udevd --daemon
udevadm trigger --action=add
udevadm settle --timeout=30
ip link set lo up
ip address add 10.77.0.2/24 dev eth0
ip address add 10.77.1.2/24 dev eth1
ip link set eth0 up
ip link set eth1 up
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets
mkdir -p /run/lock/iscsi /etc/iscsi
echo InitiatorName=iqn.2026-11.io.holdfast.test:guest > /etc/iscsi/initiatorname.iscsi
# There is no systemd to start iscsid on demand: it runs.
sed -i '/^iscsid.startup/d' /etc/iscsi/iscsid.conf
iscsid
stty -F /dev/ttyS1 raw -echo
exec bash /run/machine/agent.sh < /dev/ttyS1 > /dev/ttyS1 2> /dev/ttyS0
