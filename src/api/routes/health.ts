import type { FastifyPluginAsync } from 'fastify'
import type { Registry } from 'prom-client'
import type { ApiBackend } from '../backend.ts'

/** Outside /v1: what orchestrators and Prometheus ask. */
export const healthRoutes: FastifyPluginAsync<{ backend: ApiBackend }> = async (app, { backend }) => {
  // Loaded by the first scrape: 3 MB that a daemon nobody scrapes does without.
  let metrics: Registry | null = null
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
    metrics ??= (await import('../metrics/metrics.ts')).createMetrics(backend.metrics)
    return reply.type(metrics.contentType).send(await metrics.metrics())
  })
}
