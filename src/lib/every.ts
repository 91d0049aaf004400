/** Calls `run` every so many milliseconds until what it answers is called. */
export type Every = (ms: number, run: () => void) => () => void

/** By Node's timers. The process does not live on for it. */
export const everyInterval: Every = (ms, run) => {
  const timer = setInterval(run, ms).unref()
  return () => clearInterval(timer)
}
