import type { Finding } from '../api/backend.ts'

export function ok(check: string, says: string): Finding {
  return { check, state: 'ok', says }
}

export function warning(check: string, says: string): Finding {
  return { check, state: 'warning', says }
}

export function failure(check: string, says: string): Finding {
  return { check, state: 'failure', says }
}
