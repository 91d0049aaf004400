import { type LoginRequestFields, LoginStage } from '../wire/login.ts'
import { LoginStatus } from '../wire/login-status.ts'
import type { Refusal } from './login-identity.ts'

/** The only version there is. RFC 7143 §11.12.4. */
export const ISCSI_VERSION = 0
/** Requests of one login, continuations included: stock initiators need at most six. */
const LOGIN_REQUESTS_MAX = 64

function refusal(status: LoginStatus, fault: string): Refusal {
  return Object.freeze({ status, fault })
}

const VERSION = refusal(LoginStatus.unsupportedVersion, 'initiator needs a later version of iSCSI')
const BAD_STAGE = refusal(LoginStatus.initiatorError, 'login stage is none that may follow')
const TRANSIT_AND_CONTINUE = refusal(LoginStatus.initiatorError, 'login request with T and C')
const CHANGED = refusal(LoginStatus.initiatorError, 'ISID, TSIH or CID changed during login')
const TOO_MANY = refusal(LoginStatus.initiatorError, 'too many login requests')

/**
 * Header rules of RFC 7143 §11.12. `stage` is the one that we are in, null before the first request;
 * `count` is the number of this request.
 */
export function checkLoginRequest(
  request: LoginRequestFields,
  first: LoginRequestFields,
  stage: number | null,
  count: number,
): Refusal | null {
  if (request.versionMin > ISCSI_VERSION) return VERSION
  if (count > LOGIN_REQUESTS_MAX) return TOO_MANY
  if (!isStageAllowed(request, stage)) return BAD_STAGE
  if (request.transit && request.continued) return TRANSIT_AND_CONTINUE
  const same = request.isid === first.isid && request.tsih === first.tsih && request.cid === first.cid
  return same ? null : CHANGED
}

function isStageAllowed({ csg, nsg, transit }: LoginRequestFields, stage: number | null): boolean {
  if (csg !== LoginStage.security && csg !== LoginStage.operational) return false
  if (stage !== null && csg !== stage) return false
  return !transit || (nsg > csg && (nsg === LoginStage.operational || nsg === LoginStage.fullFeature))
}
