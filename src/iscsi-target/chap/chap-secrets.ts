import type { ChapPolicy } from '../target-directory.ts'

/** CONTRACT's bounds; RFC 7143 §9.2.1 asks for 96 bits at least. */
export const CHAP_SECRET_BYTES_MIN = 12
export const CHAP_SECRET_BYTES_MAX = 255

/** One sentence on what is wrong with a policy that is about to be configured, or null. RFC 7143 §9.2.1. */
export function chapPolicyFault(policy: ChapPolicy): string | null {
  for (const side of policy.mutual === undefined ? [policy] : [policy, policy.mutual]) {
    if (side.user.length === 0) return 'a CHAP user name is empty'
    if (side.secret.length < CHAP_SECRET_BYTES_MIN || side.secret.length > CHAP_SECRET_BYTES_MAX) {
      return `a CHAP secret has ${side.secret.length} bytes; it takes ${CHAP_SECRET_BYTES_MIN} to ${CHAP_SECRET_BYTES_MAX}`
    }
  }
  if (policy.mutual?.secret.equals(policy.secret)) {
    return 'the target’s CHAP secret is the initiator’s: both must differ'
  }
  return null
}
