import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { hostAndPort } from '../../net/socket-address.ts'
import type { ApiBackend } from '../backend.ts'
import { connection, connectionParameter, nameParameter, newConnection } from '../schemas.ts'
import { answers } from './answers.ts'

const tags = ['connections']

export const connectionRoutes: FastifyPluginAsyncZod<{ backend: ApiBackend }> = async (app, { backend }) => {
  const { control } = backend
  app.post(
    '/volumes/:name/connections',
    {
      schema: {
        tags,
        summary: "Let one initiator at a volume; answers Cinder's connection properties",
        description:
          'Adds an ACL entry with CHAP of its own, generated, on a target that has nothing but this volume. Repeated, it answers the same. Portals on all addresses are answered with the address that this request came to.',
        params: nameParameter,
        body: newConnection,
        response: answers(200, connection),
      },
    },
    async ({ params, body, socket }) =>
      control.connect(params.name, body.initiator, hostAndPort(socket.localAddress, socket.localPort)),
  )
  app.delete(
    '/volumes/:name/connections/:initiator',
    {
      schema: {
        tags,
        summary: 'Take that back; its sessions are ended and none of its writes arrives any more',
        params: connectionParameter,
        response: answers(204, z.null()),
      },
    },
    async ({ params }, reply) => {
      await control.disconnect(params.name, params.initiator)
      return reply.code(204).send(null)
    },
  )
}
