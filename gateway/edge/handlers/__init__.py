"""Handlers: one function per method, listed in one table. They translate; use cases are in `services/`."""

from collections.abc import Mapping

from gateway.edge.dispatch import Handler
from gateway.edge.handlers.approvals import Deciding
from gateway.edge.handlers.audits import Auditing
from gateway.edge.handlers.conversations import Conversational
from gateway.edge.handlers.deliveries import Delivering
from gateway.edge.handlers.devices import DeviceHandlers
from gateway.edge.handlers.operations import Operational
from gateway.edge.handlers.pairings import Pairing
from gateway.edge.handlers.privacy import Privacy
from gateway.edge.handlers.runs import Examining
from gateway.edge.handlers.subscriptions import Subscriptions
from gateway.edge.handlers.usage import Budgeting
from gateway.edge.handlers.users import Administering
from gateway.edge.handlers.workers import run_step


def table(
    conversational: Conversational,
    deciding: Deciding,
    operational: Operational,
    delivering: Delivering,
    subscriptions: Subscriptions,
    pairing: Pairing,
    examining: Examining,
    administering: Administering,
    devices: DeviceHandlers,
    budgeting: Budgeting,
    privacy: Privacy,
    auditing: Auditing,
) -> Mapping[str, Handler]:
    """Method → handler, all of them; the dispatcher refuses to start when one is missing."""
    return {
        "server.info": operational.server_info,
        "approval.list": deciding.approval_list,
        "approval.get": deciding.approval_get,
        "approval.decide": deciding.approval_decide,
        "agent.list": operational.agent_list,
        "agent.get": operational.agent_get,
        "agent.reload": operational.agent_reload,
        "agent.switch": budgeting.agent_switch,
        "usage.get": budgeting.usage_get,
        "route.explain": operational.route_explain,
        "channel.list": operational.channel_list,
        "channel.status": operational.channel_status,
        "delivery.list": delivering.delivery_list,
        "delivery.retry": delivering.delivery_retry,
        "delivery.settle": delivering.delivery_settle,
        "token.create": operational.token_create,
        "token.list": operational.token_list,
        "token.revoke": operational.token_revoke,
        "audit.list": operational.audit_list,
        "auth.refresh": administering.auth_refresh,
        "user.list": administering.user_list,
        "user.save": administering.user_save,
        "user.link": administering.user_link,
        "audit.checkpoint": auditing.audit_checkpoint,
        "audit.prove": auditing.audit_prove,
        "thread.create": conversational.thread_create,
        "thread.get": conversational.thread_get,
        "thread.list": conversational.thread_list,
        "thread.update": conversational.thread_update,
        "thread.assign": conversational.thread_assign,
        "thread.archive": conversational.thread_archive,
        "thread.restore": conversational.thread_restore,
        "thread.delete": conversational.thread_delete,
        "thread.history": conversational.thread_history,
        "thread.search": conversational.thread_search,
        "message.send": conversational.message_send,
        "run.get": conversational.run_get,
        "run.list": conversational.run_list,
        "run.cancel": conversational.run_cancel,
        "run.retry": conversational.run_retry,
        "run.steps": examining.run_steps,
        "run.diagnose": examining.run_diagnose,
        "run.replay": examining.run_replay,
        "run.step": run_step,
        "thread.subscribe": subscriptions.thread_subscribe,
        "thread.unsubscribe": subscriptions.thread_unsubscribe,
        "inbox.subscribe": subscriptions.inbox_subscribe,
        "inbox.unsubscribe": subscriptions.inbox_unsubscribe,
        "device.list": devices.device_list,
        "device.get": devices.device_get,
        "device.revoke": devices.device_revoke,
        "device.rename": devices.device_rename,
        "device.invoke": devices.device_invoke,
        "presence.list": devices.presence_list,
        "pairing.list": pairing.pairing_list,
        "pairing.approve": pairing.pairing_approve,
        "pairing.reject": pairing.pairing_reject,
        "data.erase": privacy.data_erase,
        "retention.run": privacy.retention_run,
    }
