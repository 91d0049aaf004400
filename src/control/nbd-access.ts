import { HoldfastError } from '../errors/holdfast-error.ts'
import type { TargetValue } from './layout.ts'

/** How NBD clients may use a volume. */
export interface NbdAccess {
  readonly mode: 'off' | 'open' | 'tls'
  /** With tls: the client certificates' common names and PSK identities; none means every proven one. */
  readonly identities: readonly string[]
}

const IDENTITIES_MAX = 1024
const IDENTITY = /^[^\s,:]{1,256}$/

/** `off`, `open`, `tls` or `tls:IDENTITY,…`. Throws ERR_ARGUMENT_INVALID. */
export function parseNbdAccess(text: string): NbdAccess {
  const [mode, list, ...more] = text.split(':')
  const identities = list === undefined ? [] : list.split(',')
  const isNamed = identities.length <= IDENTITIES_MAX && identities.every(name => IDENTITY.test(name))
  if (more.length === 0 && isNamed) {
    if (mode === 'tls') return { mode, identities: [...new Set(identities)].sort() }
    if ((mode === 'off' || mode === 'open') && list === undefined) return { mode, identities: [] }
  }
  throw new HoldfastError(
    'ERR_ARGUMENT_INVALID',
    `NBD access is off, open or tls[:IDENTITY,…], not '${text}'`,
  )
}

/** The form that parseNbdAccess reads. */
export function formatNbdAccess({ mode, identities }: NbdAccess): string {
  return identities.length === 0 ? mode : `${mode}:${identities.join(',')}`
}

/** A target that asks an initiator for anything: what is behind it must not be open to all by another way. */
export function isGuarded(target: TargetValue): boolean {
  return !target.openToAll || target.chap !== null || Object.keys(target.chapByInitiator).length > 0
}

/**
 * What holds for a volume: what was set, or open; but never open while a target that has it as a LUN is guarded.
 * CONTRACT.md, "Who may do what".
 */
export function effectiveAccess(wanted: NbdAccess | undefined, targets: readonly TargetValue[]): NbdAccess {
  const access: NbdAccess = wanted ?? { mode: 'open', identities: [] }
  return access.mode === 'open' && targets.some(isGuarded) ? { mode: 'off', identities: [] } : access
}

/** May a client with this proven identity (or null) open the volume? */
export function permitsNbd({ mode, identities }: NbdAccess, identity: string | null): boolean {
  if (mode !== 'tls') return mode === 'open'
  return identity !== null && (identities.length === 0 || identities.includes(identity))
}
