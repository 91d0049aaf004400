import type { FastifyPluginAsync } from 'fastify'
import type { ApiBackend } from '../backend.ts'
import { createMetrics } from '../metrics/metrics.ts'

/** Outside /v1: what orchestrators and Prometheus ask. */
export const healthRoutes: FastifyPluginAsync<{ backend: ApiBackend }> = async (app, { backend }) => {
  const metrics = createMetrics(backend.metrics)
  const schema = { hide: true }
  app.get('/healthz', { schema }, async (_request, reply) => reply.type('text/plain').send('ok\n'))
  app.get('/readyz', { schema }, async (_request, reply) => {
    const reason = backend.notReady()
    return reply
      .code(reason === null ? 200 : 503)
      .type('text/plain')
      .send(`${reason ?? 'ready'}\n`)
  })
  app.get('/metrics', { schema }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  )
}
