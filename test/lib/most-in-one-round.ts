/** The most that `counter` rises by in one round of the event loop, until `done`. */
export async function mostInOneRound(counter: () => number, done: Promise<unknown>): Promise<number> {
  let isDone = false
  void done.finally(() => {
    isDone = true
  })
  let most = 0
  for (let before = counter(); !isDone; before = counter()) {
    await new Promise(resolve => setImmediate(resolve))
    most = Math.max(most, counter() - before)
  }
  return most
}
