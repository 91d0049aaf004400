import { HoldfastError } from '../errors/holdfast-error.ts'
import type { TargetValue } from './layout.ts'

/** How NBD clients may use a volume. */
export interface NbdAccess {
  readonly mode: 'off' | 'open' | 'tls'
  /** With tls: the client certificates' common names and PSK identities; none means every proven one. */
  readonly identities: readonly string[]
  /** Who of those may change its size: all of them, or these identities; nobody when it is missing. */
  readonly resizers?: 'all' | readonly string[]
}

const IDENTITIES_MAX = 1024
const IDENTITY = /^[^\s,:]{1,256}$/
/** Behind a mode: all who are let in may resize; behind an identity: this one may. */
const RESIZE = '+resize'

/** `off`, `open[+resize]`, `tls[+resize]` or `tls:IDENTITY[+resize],…`. Throws ERR_ARGUMENT_INVALID. */
export function parseNbdAccess(text: string): NbdAccess {
  const [start = '', list, ...more] = text.split(':')
  const mode = withoutResize(start)
  const named = list === undefined ? [] : [...new Set(list.split(','))]
  const identities = [...new Set(named.map(withoutResize))].sort()
  const isNamed = identities.length <= IDENTITIES_MAX && identities.every(name => IDENTITY.test(name))
  if (more.length === 0 && isNamed) {
    const some = identities.filter(name => named.includes(name + RESIZE))
    const resizing: Pick<NbdAccess, 'resizers'> =
      mode === start ? (some.length === 0 ? {} : { resizers: some }) : { resizers: 'all' }
    if (mode === 'tls') return { mode, identities, ...resizing }
    if (mode === 'open' && list === undefined) return { mode, identities, ...resizing }
    if (start === 'off' && list === undefined) return { mode: 'off', identities }
  }
  throw new HoldfastError(
    'ERR_ARGUMENT_INVALID',
    `NBD access is off, open[+resize] or tls[+resize][:IDENTITY[+resize],…], not '${text}'`,
  )
}

function withoutResize(name: string): string {
  return name.endsWith(RESIZE) ? name.slice(0, -RESIZE.length) : name
}

/** The form that parseNbdAccess reads. */
export function formatNbdAccess({ mode, identities, resizers = [] }: NbdAccess): string {
  const start = resizers === 'all' ? mode + RESIZE : mode
  const named = identities.map(name => (resizers !== 'all' && resizers.includes(name) ? name + RESIZE : name))
  return named.length === 0 ? start : `${start}:${named.join(',')}`
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

/** May it change the volume's size as well? */
export function permitsNbdResize(access: NbdAccess, identity: string | null): boolean {
  const { resizers = [] } = access
  if (!permitsNbd(access, identity)) return false
  return resizers === 'all' || (identity !== null && resizers.includes(identity))
}
