import type { FastifyInstance } from 'fastify'

/**
 * Lets one request in per pass of the event loop: I/O that shares the loop waits for one of them, however many clients
 * ask at once. docs/design/007-turns.md.
 */
export function installTurns(app: FastifyInstance): void {
  const waiting: (() => void)[] = []
  let isPlanned = false
  const plan = () => {
    isPlanned = true
    setImmediate(letIn)
  }
  const letIn = () => {
    const begin = waiting.shift()!
    if (waiting.length > 0) plan()
    else isPlanned = false
    begin()
  }
  app.addHook('onRequest', (_request, _reply, done) => {
    waiting.push(done)
    if (!isPlanned) plan()
  })
}
