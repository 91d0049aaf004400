/** Time as replication sees it; the simulator brings its own. */
export interface Timers {
  /** CLOCK_BOOTTIME in milliseconds with a fraction: counts while a machine is suspended. PROTOCOL rule 4. */
  bootMs(): number
  /** Calls `fn` once, `ms` from now at the earliest. A timer alone does not keep a process up. */
  after(ms: number, fn: () => void): Timer
}

export interface Timer {
  /** Nothing happens when it has fired already. */
  cancel(): void
}
