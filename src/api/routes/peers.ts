import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiBackend } from '../backend.ts'
import { forceQuery, peer } from '../schemas.ts'
import { answers } from './answers.ts'

const tags = ['peers']
const byId = z.object({ id: z.string().min(1).max(256) })

export const peerRoutes: FastifyPluginAsyncZod<{ backend: ApiBackend }> = async (app, { backend }) => {
  const { control } = backend
  app.get('/peers', { schema: { tags, summary: 'Peers', response: answers(200, z.array(peer)) } }, async () =>
    control.listPeers(),
  )
  app.get(
    '/peers/:id',
    { schema: { tags, summary: 'One peer', params: byId, response: answers(200, peer) } },
    async request => control.showPeer(request.params.id),
  )
  app.post(
    '/peers/:id/drain',
    {
      schema: {
        tags,
        summary: 'Move everything away from a peer; nothing new is placed on it',
        params: byId,
        response: answers(200, peer),
      },
    },
    async request => control.drainPeer(request.params.id),
  )
  app.delete(
    '/peers/:id/drain',
    { schema: { tags, summary: 'Let a peer take part again', params: byId, response: answers(200, peer) } },
    async request => control.undrainPeer(request.params.id),
  )
  app.delete(
    '/peers/:id',
    {
      schema: {
        tags,
        summary: 'Forget a peer that is down',
        params: byId,
        querystring: forceQuery,
        response: answers(204, z.null()),
      },
    },
    async (request, reply) => {
      await control.removePeer(request.params.id, { force: request.query.force })
      return reply.code(204).send(null)
    },
  )
}
