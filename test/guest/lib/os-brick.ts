import type { ConnectionProperties } from '../../../src/control/connection-properties.ts'
import type { Guest } from './guest.ts'

/** A dead portal takes its time. */
const STEP_TIMEOUT_S = 150
const START_TIMEOUT_S = 90
/** As in machine/os_brick_host.py. */
const PORT = 7000

/** What os-brick says of a volume that it has connected. */
export interface ConnectedDevice {
  readonly path: string
  readonly scsi_wwn: string
  readonly multipath_id?: string
}

/** Debian's python3-os-brick in the guest, as Cinder and Nova call it. */
export class OsBrick {
  readonly #guest: Guest
  readonly #multipath: boolean

  constructor(guest: Guest, multipath: boolean) {
    this.#guest = guest
    this.#multipath = multipath
  }

  /** Loads it, once for all: that alone takes seconds in a machine that is emulated. */
  static async start(guest: Guest): Promise<void> {
    await guest.succeed('python3 /run/machine/os_brick_host.py &> /run/os-brick.log &')
    await guest.eventually(
      `: < /dev/tcp/127.0.0.1/${PORT} || { cat /run/os-brick.log; false; }`,
      START_TIMEOUT_S,
    )
  }

  /** What the host says of itself; Cinder hands it to the driver. */
  properties(): Promise<{ readonly initiator: string; readonly multipath: boolean }> {
    return this.#step('properties')
  }

  connect(connection: ConnectionProperties): Promise<ConnectedDevice> {
    return this.#step('connect', { connection })
  }

  /** Answers the new size in bytes. */
  extend(connection: ConnectionProperties): Promise<number> {
    return this.#step('extend', { connection })
  }

  disconnect(connection: ConnectionProperties, device: ConnectedDevice): Promise<null> {
    return this.#step('disconnect', { connection, device })
  }

  async #step<T>(action: string, more: object = {}): Promise<T> {
    const input = JSON.stringify({ action, multipath: this.#multipath, ...more })
    const output = await this.#guest.succeed(
      `exec 3<> /dev/tcp/127.0.0.1/${PORT}\necho '${input}' >&3\ncat <&3`,
      { timeoutS: STEP_TIMEOUT_S },
    )
    const answer = JSON.parse(output) as { readonly result: T; readonly error?: string }
    if (answer.error !== undefined) throw new Error(answer.error)
    return answer.result
  }
}
