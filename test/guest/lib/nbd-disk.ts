import type { Guest } from './guest.ts'

/** The kernel's disk that an export becomes. */
export const NBD_DISK = '/dev/nbd0'

const CONNECTIONS = 4
const ATTEMPTS = 20
const CONNECT_TIMEOUT_S = 240
const DISCONNECTED = `test "$(cat /sys/block/${NBD_DISK.slice(5)}/size)" = 0 || ! nbd-client -c ${NBD_DISK}`

/** The command that connects an export, over four connections. */
export const nbdClient = (host: string, name: string, more = ''): string =>
  `nbd-client ${host} 10809 ${NBD_DISK} -N ${name} -C ${CONNECTIONS} -timeout 30 ${more}`

/**
 * Makes an export the guest's disk; throws when the client fails. A kernel that takes over 10 ms to make a thread, as
 * a busy emulated machine's does, gives all receivers of a device to one rescuer thread: the first runs as long as its
 * connection, and on the others nobody receives. So it is tried again until each connection has a thread.
 */
export async function connectNbdDisk(guest: Guest, host: string, name: string, more = ''): Promise<void> {
  await guest.succeed(
    `receivers() { cat /proc/[0-9]*/stack 2> /dev/null | grep -c 'recv_work.*\\[nbd\\]'; }
    for attempt in $(seq ${ATTEMPTS}); do
      ${nbdClient(host, name, more)} || exit 1
      for look in $(seq 10); do
        test "$(receivers)" = ${CONNECTIONS} && exit 0
        sleep 0.2
      done
      echo "threads that receive: $(receivers)"
      nbd-client -d ${NBD_DISK}
      until ${DISCONNECTED}; do sleep 0.1; done
    done
    exit 1`,
    { timeoutS: CONNECT_TIMEOUT_S },
  )
}

/** Takes the disk away again. */
export async function disconnectNbdDisk(guest: Guest): Promise<void> {
  await guest.succeed(`nbd-client -d ${NBD_DISK}`)
  await guest.eventually(DISCONNECTED)
}
