import type { LoginRequestFields } from '../wire/login.ts'
import type { LoginStatus } from '../wire/login-status.ts'
import type { LoginEnvironment, LoginStep } from './login-outcome.ts'

/** The login phase of one connection. RFC 7143 §6.3. */
export class LoginNegotiation {
  readonly #environment: LoginEnvironment

  constructor(environment: LoginEnvironment) {
    this.#environment = environment
  }

  /** `data` is the data segment without padding; it is read during the call alone. */
  receive(request: LoginRequestFields, data: Buffer): LoginStep {
    return this.refuse(request, 0x0300, `${data.length} ${this.#environment.commandWindow}`)
  }

  /** A refusal that the session layer decides on: out of resources, too many connections, login timeout. */
  refuse(request: LoginRequestFields, status: LoginStatus, fault: string): LoginStep {
    const { isid, tsih, itt, expStatSn, cmdSn, csg } = request
    const header = {
      ...{ transit: false, continued: false, csg, nsg: 0, isid, tsih, itt, versionMax: 0, versionActive: 0 },
      ...{ statSn: expStatSn, expCmdSn: cmdSn, maxCmdSn: cmdSn },
      ...{ statusClass: status >>> 8, statusDetail: status & 0xff },
    }
    return { next: 'refused', status, fault, reply: { header, data: Buffer.alloc(0) } }
  }
}
