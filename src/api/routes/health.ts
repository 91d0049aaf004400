import type { FastifyPluginAsync } from 'fastify'
import type { ApiBackend } from '../backend.ts'

/** Outside /v1: what orchestrators and Prometheus ask. */
export const healthRoutes: FastifyPluginAsync<{ backend: ApiBackend }> = async (app, { backend }) => {
  const schema = { hide: true }
  app.get('/healthz', { schema }, async (_request, reply) => reply.type('text/plain').send('ok\n'))
  app.get('/readyz', { schema }, async (_request, reply) => {
    const reason = backend.notReady()
    return reply
      .code(reason === null ? 200 : 503)
      .type('text/plain')
      .send(`${reason ?? 'ready'}\n`)
  })
  app.get('/metrics', { schema }, async (_request, reply) => {
    // Loaded by the first scrape: 3 MB that a daemon nobody scrapes does without.
    const { METRICS_CONTENT_TYPE, metricsText } = await import('../metrics/metrics.ts')
    return reply.type(METRICS_CONTENT_TYPE).send(await metricsText(backend.metrics))
  })
}
