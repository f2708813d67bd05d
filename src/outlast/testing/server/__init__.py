"""A fake model server for tests, and what it can be told to say and to do wrong."""

from outlast.testing.server.answers import Answer as Answer
from outlast.testing.server.answers import Event as Event
from outlast.testing.server.answers import Tokens as Tokens
from outlast.testing.server.chat import completion as completion
from outlast.testing.server.deciding import decisions as decisions
from outlast.testing.server.deciding import systemone as systemone
from outlast.testing.server.fake import FakeServer as FakeServer
from outlast.testing.server.fake import Given as Given
from outlast.testing.server.fake import Handler as Handler
from outlast.testing.server.fake import SeenRequest as SeenRequest
from outlast.testing.server.faults import Fault as Fault
from outlast.testing.server.messages import message as message
from outlast.testing.server.responses import response as response
