/** One operation as one sector saw it. Times are virtual; an operation that was never answered ends never. */
export interface CellOperation {
  readonly kind: 'write' | 'read' | 'compareAndWrite' | 'loss'
  readonly invokedMs: number
  /** When its caller knew; Infinity: never answered. */
  readonly respondedMs: number
  /** It may have been carried out or not; from `closedMs` on it must not begin to count any more. */
  readonly isMaybe: boolean
  readonly closedMs: number
  /** Read: what came back. Others: what is there afterwards. */
  readonly value: number
  /** compareAndWrite: what was there before. */
  readonly expected: number
  /** loss: what may be there afterwards. */
  readonly allowed?: ReadonlySet<number>
  readonly label: string
}

/** Operations open at once; more means that something runs away. */
const OPEN_MAX = 31
const CONFIGURATIONS_MAX = 20_000

interface Configuration {
  readonly value: number
  /** Bit per slot of the open operations: has taken effect. */
  readonly done: number
}

interface Moment {
  readonly atMs: number
  /** Ends before beginnings at the same time would order what was concurrent: beginnings come first. */
  readonly order: number
  readonly type: 'invoke' | 'respond' | 'close'
  readonly operation: CellOperation
}

/**
 * Whether the history of one sector is linearizable: answers null, or the operation at which no order is left that
 * explains everything. Just-in-time linearization (Lowe, "Testing for linearizability", 2017), for a register.
 */
export function findContradiction(
  operations: readonly CellOperation[],
  initial: number,
): CellOperation | null {
  const moments = momentsOf(operations)
  const slots: (CellOperation | null)[] = []
  let configurations: Configuration[] = [{ value: initial, done: 0 }]
  for (const { type, operation } of moments) {
    if (type === 'invoke') {
      let slot = slots.indexOf(null)
      if (slot < 0) slot = slots.length
      if (slot >= OPEN_MAX) throw new Error('too many operations are open on one sector')
      slots[slot] = operation
      configurations = configurations.map(one => ({ value: one.value, done: one.done & ~(1 << slot) }))
      configurations = unique(configurations.map(one => withReads(one, slots)))
      continue
    }
    const slot = slots.indexOf(operation)
    const took = respond(configurations, slots, slot)
    if (type === 'respond' && took.length === 0) return operation
    // What may have happened has happened by now, or never will.
    configurations = type === 'respond' ? took : [...configurations, ...took]
    slots[slot] = null
    configurations = unique(configurations.map(one => ({ value: one.value, done: one.done & ~(1 << slot) })))
  }
  return null
}

function momentsOf(operations: readonly CellOperation[]): Moment[] {
  const observed = new Set<number>()
  for (const { kind, value, expected } of operations) {
    if (kind === 'read') observed.add(value)
    if (kind === 'compareAndWrite') observed.add(expected)
  }
  const moments: Moment[] = []
  for (const operation of operations) {
    // What nobody saw of what may not have happened did not happen, as far as anybody can tell.
    if (operation.isMaybe && !observed.has(operation.value)) continue
    moments.push({ atMs: operation.invokedMs, order: 0, type: 'invoke', operation })
    if (!operation.isMaybe) {
      moments.push({ atMs: operation.respondedMs, order: 1, type: 'respond', operation })
    } else if (operation.closedMs !== Number.POSITIVE_INFINITY) {
      moments.push({ atMs: operation.closedMs, order: 2, type: 'close', operation })
    }
  }
  return moments.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
}

/** Every way in which the operation in `target` can have taken effect by now. */
function respond(
  configurations: readonly Configuration[],
  slots: readonly (CellOperation | null)[],
  target: number,
): Configuration[] {
  const found = new Map<string, Configuration>()
  const seen = new Set<string>()
  const walk = (one: Configuration): void => {
    const key = keyOf(one)
    if (seen.has(key)) return
    seen.add(key)
    if (seen.size > CONFIGURATIONS_MAX) throw new Error('a history has too many orders')
    if ((one.done >>> target) & 1) {
      found.set(key, one)
      return
    }
    for (let slot = 0; slot < slots.length; slot++) {
      const operation = slots[slot]
      if (operation === null || operation === undefined || (one.done >>> slot) & 1) continue
      if (operation.kind === 'read') continue
      if (operation.kind === 'compareAndWrite' && operation.expected !== one.value) continue
      if (operation.isMaybe && slot !== target && !isWanted(operation.value, one, slots)) continue
      const values = operation.kind === 'loss' ? [...operation.allowed!] : [operation.value]
      for (const value of values) walk(withReads({ value, done: one.done | (1 << slot) }, slots))
    }
  }
  for (const one of configurations) walk(one)
  return [...found.values()]
}

/** Somebody who is still under way saw this value. */
function isWanted(value: number, one: Configuration, slots: readonly (CellOperation | null)[]): boolean {
  return slots.some((operation, slot) => {
    if (operation === null || (one.done >>> slot) & 1) return false
    if (operation.kind === 'read') return operation.value === value
    return operation.kind === 'compareAndWrite' && operation.expected === value
  })
}

/** Reads of what is there now count at once: waiting could only make it harder. */
function withReads(one: Configuration, slots: readonly (CellOperation | null)[]): Configuration {
  let { done } = one
  for (let slot = 0; slot < slots.length; slot++) {
    const operation = slots[slot]
    if (operation?.kind === 'read' && operation.value === one.value) done |= 1 << slot
  }
  return done === one.done ? one : { value: one.value, done }
}

function unique(configurations: readonly Configuration[]): Configuration[] {
  if (configurations.length < 2) return [...configurations]
  return [...new Map(configurations.map(one => [keyOf(one), one])).values()]
}

function keyOf({ value, done }: Configuration): string {
  return `${value}:${done}`
}
