import { describe, expect, test } from 'vitest'
import type { ClientIdentity } from '../client-identity.ts'
import {
  isAccessPermitted,
  NO_RESERVATIONS,
  REGISTRATIONS_MAX,
  type ReservationState,
  ReservationType,
  registrantName,
} from './reservation-state.ts'
import { type ReservationAction, type ReservationOutcome, stepReservations } from './step-reservations.ts'

type IscsiClient = Extract<ClientIdentity, { protocol: 'iscsi' }>

const client = (isid: string, targetPortalGroupTag = 1): IscsiClient => ({
  protocol: 'iscsi',
  initiatorName: 'iqn.2026-11.test:one',
  isid: isid.padStart(12, '0'),
  targetPortalGroupTag,
})
const nameOf = (who: IscsiClient) => registrantName(who, who.targetPortalGroupTag)
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
      [nameOf(B), 'reservationsReleased'],
      [nameOf(C), 'reservationsReleased'],
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
      [nameOf(B), 'reservationsReleased'],
      [nameOf(C), 'reservationsReleased'],
    ])
  })
})

test('clear: takes everything away and tells the others that they were preempted', () => {
  const cleared = apply(three(exclusiveAccess), B, { do: 'clear', key: 2n })
  expect(cleared.state).toMatchObject({ registrations: [], reservation: null, generation: 4 })
  expect(names(cleared)).toEqual([
    [nameOf(A), 'reservationsPreempted'],
    [nameOf(C), 'reservationsPreempted'],
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
    expect(taken.state.reservation).toEqual({ type: exclusiveAccess, holder: nameOf(B) })
    expect(keys(taken.state)).toEqual([2n, 3n])
    expect(names(taken)).toEqual([
      [nameOf(A), 'registrationsPreempted'],
      [nameOf(C), 'reservationsReleased'],
    ])
  })

  test('another registrant is named: only its registration goes', () => {
    const state = three(writeExclusive)
    const taken = apply(state, B, preempt(2n, 3n, null))
    expect(taken.state.reservation).toEqual(state.reservation)
    expect(keys(taken.state)).toEqual([1n, 2n])
    expect(names(taken)).toEqual([[nameOf(C), 'registrationsPreempted']])
  })

  test('a key that nobody has is a conflict, key 0 an invalid field unless all registrants hold it', () => {
    expect(stepReservations(three(), B, preempt(2n, 99n, writeExclusive)).result).toBe('conflict')
    expect(stepReservations(three(writeExclusive), B, preempt(2n, 0n, writeExclusive)).result).toBe(
      'invalidServiceActionKey',
    )
    const taken = apply(three(writeExclusiveAllRegistrants), B, preempt(2n, 0n, writeExclusive))
    expect(keys(taken.state)).toEqual([2n])
    expect(taken.state.reservation).toEqual({ type: writeExclusive, holder: nameOf(B) })
  })

  test('a reserved type matters only when the reservation changes hands', () => {
    expect(stepReservations(three(writeExclusive), B, preempt(2n, 1n, null)).result).toBe('invalidType')
  })

  test('the holder may preempt itself to change the type, and keeps its registration', () => {
    const taken = apply(three(writeExclusive), A, preempt(1n, 1n, exclusiveAccess))
    expect(keys(taken.state)).toEqual([1n, 2n, 3n])
    expect(taken.state.reservation).toEqual({ type: exclusiveAccess, holder: nameOf(A) })
  })

  test('with abort, the commands of those whose registration went are to be taken back', () => {
    const action = { do: 'preemptAndAbort', key: 2n, victimKey: 1n, type: writeExclusive } as const
    expect(apply(three(writeExclusive), B, action).abort).toEqual([nameOf(A)])
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

describe('initiator ports named by SPEC_I_PT', () => {
  const naming = (...also: IscsiClient[]) =>
    ({ do: 'register', key: 0n, newKey: 7n, persist: false, also }) as const

  test('are registered with the key of who names them, in one generation', () => {
    const { state } = apply(NO_RESERVATIONS, A, naming(B, C))
    expect(keys(state)).toEqual([7n, 7n, 7n])
    expect(state.generation).toBe(1)
    expect(apply(state, C, { do: 'reserve', key: 7n, type: exclusiveAccess }).state.reservation).toEqual({
      type: exclusiveAccess,
      holder: nameOf(C),
    })
  })

  test('are none when one is registered already, named twice, or named by who is registered', () => {
    const { state } = apply(NO_RESERVATIONS, B, register(2n))
    expect(stepReservations(state, A, naming(C, B)).result).toBe('invalidInitiatorPorts')
    expect(stepReservations(NO_RESERVATIONS, A, naming(C, C)).result).toBe('invalidInitiatorPorts')
    expect(stepReservations(NO_RESERVATIONS, A, naming(A)).result).toBe('invalidInitiatorPorts')
    expect(stepReservations(state, B, { ...naming(A), key: 2n }).result).toBe('invalidInitiatorPorts')
  })

  test('count against the bound on registrations', () => {
    const many = Array.from({ length: REGISTRATIONS_MAX }, (_, index) => client(index.toString(16)))
    const outcome = stepReservations(NO_RESERVATIONS, client('ffffff'), naming(...many))
    expect(outcome.result).toBe('insufficientRegistrationResources')
  })
})

describe('through all target ports', () => {
  const everywhere = (newKey: bigint) => ({ ...register(newKey), allTargetPorts: true }) as ReservationAction
  const elsewhere = client('a', 2)

  test('one registration serves the initiator port at every gateway', () => {
    const { state } = apply(NO_RESERVATIONS, A, everywhere(5n))
    expect(keys(state)).toEqual([5n])
    const held = apply(state, elsewhere, { do: 'reserve', key: 5n, type: writeExclusive }).state
    expect(isAccessPermitted(held, A, 'write')).toBe(true)
    expect(isAccessPermitted(held, elsewhere, 'write')).toBe(true)
    expect(isAccessPermitted(held, client('b', 2), 'write')).toBe(false)
    expect(apply(held, elsewhere, register(0n)).state.registrations).toEqual([])
  })

  test('it takes in what the port had through single ones, reservation included', () => {
    let state = apply(NO_RESERVATIONS, A, register(1n)).state
    state = apply(state, elsewhere, register(2n)).state
    state = apply(state, elsewhere, { do: 'reserve', key: 2n, type: exclusiveAccess }).state
    const { state: widened } = apply(state, A, everywhere(3n))
    expect(keys(widened)).toEqual([3n])
    expect(isAccessPermitted(widened, A, 'read')).toBe(true)
    expect(keys(apply(widened, elsewhere, register(4n)).state)).toEqual([4n])
    expect(isAccessPermitted(apply(widened, elsewhere, register(4n)).state, A, 'read')).toBe(true)
  })
})

describe('register and move', () => {
  const D = client('d', 2)
  const moveTo = (to: IscsiClient, unregister = false, newKey = 9n) =>
    ({
      do: 'registerAndMove',
      key: 1n,
      newKey,
      persist: true,
      to,
      targetPortalGroupTag: to.targetPortalGroupTag,
      unregister,
    }) as const

  test('registers the other nexus, through its target port, and hands the reservation over', () => {
    const { state, notices } = apply(three(exclusiveAccess), A, moveTo(D))
    expect(state.reservation).toEqual({ type: exclusiveAccess, holder: nameOf(D) })
    expect(keys(state)).toEqual([1n, 2n, 3n, 9n])
    expect([state.persistsThroughPowerLoss, notices]).toEqual([true, []])
    expect(isAccessPermitted(state, A, 'read')).toBe(false)
    expect(isAccessPermitted(state, D, 'write')).toBe(true)
  })

  test('gives one that is registered the new key, and with UNREG leaves', () => {
    const { state } = apply(three(exclusiveAccess), A, moveTo(B, true))
    expect(keys(state)).toEqual([9n, 3n])
    expect(state.reservation?.holder).toBe(nameOf(B))
  })

  test('is for the holder of a reservation that one nexus has, and not to itself or without a key', () => {
    expect(stepReservations(three(), A, moveTo(D)).result).toBe('conflict')
    expect(stepReservations(three(exclusiveAccess), B, { ...moveTo(D), key: 2n }).result).toBe('conflict')
    expect(stepReservations(three(exclusiveAccess), A, { ...moveTo(D), key: 5n }).result).toBe('conflict')
    expect(stepReservations(three(writeExclusiveAllRegistrants), A, moveTo(D)).result).toBe('conflict')
    expect(stepReservations(three(exclusiveAccess), A, moveTo(A)).result).toBe('invalidInitiatorPorts')
    expect(stepReservations(three(exclusiveAccess), A, moveTo(D, false, 0n)).result).toBe(
      'invalidServiceActionKey',
    )
  })
})
