import { describe, expect, test } from 'vitest'
import type { ClientIdentity } from '../client-identity.ts'
import {
  isAccessPermitted,
  NO_RESERVATIONS,
  REGISTRATIONS_MAX,
  type ReservationState,
  ReservationType,
  registrantOf,
} from './reservation-state.ts'
import { type ReservationAction, type ReservationOutcome, stepReservations } from './step-reservations.ts'

const client = (isid: string): ClientIdentity => ({
  protocol: 'iscsi',
  initiatorName: 'iqn.2026-11.test:one',
  isid: isid.padStart(12, '0'),
  targetPortalGroupTag: 1,
})
const A = client('a')
const B = client('b')
const C = client('c')
const { writeExclusive, exclusiveAccess, writeExclusiveRegistrantsOnly, writeExclusiveAllRegistrants } =
  ReservationType

type Done = Extract<ReservationOutcome, { result: 'done' }>

function apply(state: ReservationState, who: ClientIdentity, action: ReservationAction): Done {
  const outcome = stepReservations(state, who, action)
  if (outcome.result !== 'done') throw new Error(`refused: ${outcome.result}`)
  return outcome
}

const register = (newKey: bigint, persist = false): ReservationAction => ({
  do: 'registerAndIgnoreExistingKey',
  newKey,
  persist,
})

/** A with key 1, B with key 2, C with key 3; A holds a reservation of `type`, if any. */
function three(type: ReservationType | null = null): ReservationState {
  let state = NO_RESERVATIONS
  for (const [who, key] of [
    [A, 1n],
    [B, 2n],
    [C, 3n],
  ] as const) {
    state = apply(state, who, register(key)).state
  }
  return type === null ? state : apply(state, A, { do: 'reserve', key: 1n, type }).state
}

const names = (outcome: Done) => outcome.notices.map(notice => [notice.registrant, notice.kind])
const keys = (state: ReservationState) => state.registrations.map(({ key }) => key)

describe('register', () => {
  test('an unregistered nexus must give key 0, a registered one its own key', () => {
    const first = { do: 'register', key: 0n, newKey: 7n, persist: false } as const
    const { state } = apply(NO_RESERVATIONS, A, first)
    expect(stepReservations(NO_RESERVATIONS, A, { ...first, key: 5n }).result).toBe('conflict')
    expect(stepReservations(state, A, first).result).toBe('conflict')
    expect(keys(apply(state, A, { ...first, key: 7n, newKey: 8n }).state)).toEqual([8n])
  })

  test('every registration raises PRGENERATION, unregistering an unknown nexus changes nothing', () => {
    expect(three().generation).toBe(3)
    expect(apply(NO_RESERVATIONS, A, register(0n)).state).toBe(NO_RESERVATIONS)
  })

  test('PRGENERATION wraps at 32 bits', () => {
    const old = { ...three(), generation: 0xffffffff }
    expect(apply(old, A, register(9n)).state.generation).toBe(0)
  })

  test('a holder that unregisters releases, and registrants-only types tell the others', () => {
    const plain = apply(three(exclusiveAccess), A, register(0n))
    expect(plain.state.reservation).toBeNull()
    expect(plain.notices).toEqual([])
    const shared = apply(three(writeExclusiveRegistrantsOnly), A, register(0n))
    expect(names(shared)).toEqual([
      [registrantOf(B), 'reservationsReleased'],
      [registrantOf(C), 'reservationsReleased'],
    ])
  })

  test('an all-registrants reservation stands until the last registrant leaves', () => {
    let state = three(writeExclusiveAllRegistrants)
    for (const who of [A, B]) state = apply(state, who, register(0n)).state
    expect(state.reservation).not.toBeNull()
    expect(apply(state, C, register(0n)).state.reservation).toBeNull()
  })

  test('the table of registrations is bounded', () => {
    let state = NO_RESERVATIONS
    for (let at = 0; at < REGISTRATIONS_MAX; at++)
      state = apply(state, client(at.toString(16)), register(1n)).state
    expect(stepReservations(state, client('ffff'), register(1n)).result).toBe(
      'insufficientRegistrationResources',
    )
    expect(stepReservations(state, client('0'), register(2n)).result).toBe('done')
  })

  test('an NBD client is an unregistered nexus: it can change nothing', () => {
    const nbd: ClientIdentity = { protocol: 'nbd', name: 'x' }
    expect(stepReservations(three(), nbd, register(1n)).result).toBe('conflict')
  })
})

describe('reserve and release', () => {
  test('only the holder may repeat its reservation, and only with the same type', () => {
    const state = three(writeExclusive)
    expect(apply(state, A, { do: 'reserve', key: 1n, type: writeExclusive }).state).toBe(state)
    expect(stepReservations(state, A, { do: 'reserve', key: 1n, type: exclusiveAccess }).result).toBe(
      'conflict',
    )
    expect(stepReservations(state, B, { do: 'reserve', key: 2n, type: writeExclusive }).result).toBe(
      'conflict',
    )
    expect(stepReservations(three(), A, { do: 'reserve', key: 2n, type: writeExclusive }).result).toBe(
      'conflict',
    )
  })

  test('releasing another type is an invalid release, releasing what one does not hold does nothing', () => {
    const state = three(writeExclusive)
    expect(stepReservations(state, A, { do: 'release', key: 1n, type: exclusiveAccess }).result).toBe(
      'invalidRelease',
    )
    expect(apply(state, B, { do: 'release', key: 2n, type: writeExclusive }).state).toBe(state)
    expect(apply(state, A, { do: 'release', key: 1n, type: writeExclusive }).state.reservation).toBeNull()
  })

  test('neither raises PRGENERATION', () => {
    const state = three(writeExclusive)
    expect(state.generation).toBe(3)
    const released = apply(state, A, { do: 'release', key: 1n, type: writeExclusive })
    expect(released.state.generation).toBe(3)
    expect(released.notices).toEqual([])
  })

  test('releasing a registrants-only type tells the other registrants', () => {
    const released = apply(three(writeExclusiveRegistrantsOnly), A, {
      do: 'release',
      key: 1n,
      type: writeExclusiveRegistrantsOnly,
    })
    expect(names(released)).toEqual([
      [registrantOf(B), 'reservationsReleased'],
      [registrantOf(C), 'reservationsReleased'],
    ])
  })
})

test('clear: takes everything away and tells the others that they were preempted', () => {
  const cleared = apply(three(exclusiveAccess), B, { do: 'clear', key: 2n })
  expect(cleared.state).toMatchObject({ registrations: [], reservation: null, generation: 4 })
  expect(names(cleared)).toEqual([
    [registrantOf(A), 'reservationsPreempted'],
    [registrantOf(C), 'reservationsPreempted'],
  ])
})

describe('preempt', () => {
  const preempt = (key: bigint, victimKey: bigint, type: ReservationType | null): ReservationAction => ({
    do: 'preempt',
    key,
    victimKey,
    type,
  })

  test('the holder is named: its registration goes, the reservation changes hands and type', () => {
    const taken = apply(three(writeExclusive), B, preempt(2n, 1n, exclusiveAccess))
    expect(taken.state.reservation).toEqual({ type: exclusiveAccess, holder: registrantOf(B) })
    expect(keys(taken.state)).toEqual([2n, 3n])
    expect(names(taken)).toEqual([
      [registrantOf(A), 'registrationsPreempted'],
      [registrantOf(C), 'reservationsReleased'],
    ])
  })

  test('another registrant is named: only its registration goes', () => {
    const state = three(writeExclusive)
    const taken = apply(state, B, preempt(2n, 3n, null))
    expect(taken.state.reservation).toEqual(state.reservation)
    expect(keys(taken.state)).toEqual([1n, 2n])
    expect(names(taken)).toEqual([[registrantOf(C), 'registrationsPreempted']])
  })

  test('a key that nobody has is a conflict, key 0 an invalid field unless all registrants hold it', () => {
    expect(stepReservations(three(), B, preempt(2n, 99n, writeExclusive)).result).toBe('conflict')
    expect(stepReservations(three(writeExclusive), B, preempt(2n, 0n, writeExclusive)).result).toBe(
      'invalidVictimKey',
    )
    const taken = apply(three(writeExclusiveAllRegistrants), B, preempt(2n, 0n, writeExclusive))
    expect(keys(taken.state)).toEqual([2n])
    expect(taken.state.reservation).toEqual({ type: writeExclusive, holder: registrantOf(B) })
  })

  test('a reserved type matters only when the reservation changes hands', () => {
    expect(stepReservations(three(writeExclusive), B, preempt(2n, 1n, null)).result).toBe('invalidType')
  })

  test('the holder may preempt itself to change the type, and keeps its registration', () => {
    const taken = apply(three(writeExclusive), A, preempt(1n, 1n, exclusiveAccess))
    expect(keys(taken.state)).toEqual([1n, 2n, 3n])
    expect(taken.state.reservation).toEqual({ type: exclusiveAccess, holder: registrantOf(A) })
  })

  test('with abort, the commands of those whose registration went are to be taken back', () => {
    const action = { do: 'preemptAndAbort', key: 2n, victimKey: 1n, type: writeExclusive } as const
    expect(apply(three(writeExclusive), B, action).abort).toEqual([registrantOf(A)])
    expect(apply(three(writeExclusive), B, { ...action, do: 'preempt' }).abort).toEqual([])
  })
})

test('access: each type lets through whom SPC-5 table 72 lets through', () => {
  const outsider = client('d')
  const nbd: ClientIdentity = { protocol: 'nbd', name: 'x' }
  // Holder A, registrant B, outsider: r and w, a dash where refused.
  const table: Record<keyof typeof ReservationType, string> = {
    writeExclusive: 'rw r- r-',
    exclusiveAccess: 'rw -- --',
    writeExclusiveRegistrantsOnly: 'rw rw r-',
    exclusiveAccessRegistrantsOnly: 'rw rw --',
    writeExclusiveAllRegistrants: 'rw rw r-',
    exclusiveAccessAllRegistrants: 'rw rw --',
  }
  for (const [name, expected] of Object.entries(table)) {
    const state = three(ReservationType[name as keyof typeof ReservationType])
    const seen = (who: ClientIdentity) =>
      (isAccessPermitted(state, who, 'read') ? 'r' : '-') +
      (isAccessPermitted(state, who, 'write') ? 'w' : '-')
    expect(`${name} ${seen(A)} ${seen(B)} ${seen(outsider)}`).toBe(`${name} ${expected}`)
    expect(seen(nbd)).toBe(seen(outsider))
    expect(seen({ protocol: 'internal' })).toBe('rw')
  }
})
