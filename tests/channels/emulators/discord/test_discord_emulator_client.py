"""The unmodified library against the emulator: everything that goes well."""

import io

import discord
from discord_emulator_cast import ADA, BO, GATE, GENERAL, SHY, WORKSHOP, Connect, Watcher, until

from channels.emulators.discord import DiscordEmulator


async def test_it_logs_in_and_sees_its_guild(client: Watcher) -> None:
    assert client.user is not None and client.user.id == GATE.id
    assert client.application is not None and client.application.id == GATE.id
    assert client.application_flags.gateway_message_content_limited
    (guild,) = client.guilds
    assert (guild.id, guild.name, guild.member_count) == (WORKSHOP, "Workshop", 4)
    assert [channel.name for channel in guild.text_channels] == ["general", "random"]
    assert guild.me is not None
    assert guild.me.guild_permissions.send_messages and not guild.me.guild_permissions.manage_threads


async def test_a_message_comes_in_and_a_reply_goes_out_with_its_nonce(
    client: Watcher, emulator: DiscordEmulator
) -> None:
    said = emulator.say("hello")
    (heard,) = await client.heard("hello")
    assert (heard.id, heard.author.id, heard.channel.id) == (said.id, ADA.id, GENERAL)
    sent = await heard.reply("hi", nonce="run-1-part-1")
    _, echo = await client.heard("hello", "hi")
    assert (echo.id, echo.nonce, echo.author.id) == (sent.id, "run-1-part-1", GATE.id)
    assert sent.nonce == "run-1-part-1"
    assert echo.reference is not None and echo.reference.message_id == said.id
    fetched = await client.channel().fetch_message(sent.id)
    assert fetched.nonce is None and fetched.content == "hi"


async def test_direct_messages_go_both_ways(client: Watcher, emulator: DiscordEmulator) -> None:
    room = emulator.dm(ADA)
    emulator.say("psst", channel_id=room.id)
    (heard,) = await client.heard("psst")
    assert isinstance(heard.channel, discord.DMChannel) and heard.guild is None
    await heard.channel.send("yes?")
    opened = await (await client.fetch_user(ADA.id)).create_dm()
    assert opened.id == room.id
    assert [message.content for message in emulator.messages(room.id)] == ["psst", "yes?"]


async def test_edits_deletions_and_typing_are_told(client: Watcher, emulator: DiscordEmulator) -> None:
    said = [emulator.say(text) for text in ("one", "two", "three")]
    await client.heard("one", "two", "three")
    emulator.edit(GENERAL, said[0].id, "won")
    emulator.delete(GENERAL, said[0].id)
    emulator.delete(GENERAL, said[1].id, said[2].id)
    emulator.type_in(GENERAL, user=BO)
    await client.told("typing", BO.id)
    assert client.events[1:-1] == [
        ("edit", "won"),
        ("delete", said[0].id),
        ("bulk_delete", {said[1].id, said[2].id}),
    ]


async def test_the_bot_edits_deletes_and_types(client: Watcher, emulator: DiscordEmulator) -> None:
    channel = client.channel()
    async with channel.typing():
        sent = await channel.send("one")
    edited = await sent.edit(content="two")
    assert edited.edited_at is not None and edited.content == "two"
    await sent.delete()
    (message,) = emulator.messages()
    assert [edit.content for edit in message.edits] == ["one"]
    assert message.deleted_at is not None
    assert [call.method for call in emulator.calls.select("POST /channels/{c}/typing")]


async def test_reactions_go_both_ways(client: Watcher, emulator: DiscordEmulator) -> None:
    said = emulator.say("hello")
    (heard,) = await client.heard("hello")
    await heard.add_reaction("👀")
    emulator.react(GENERAL, said.id, "👍", user=BO)
    await client.told("reaction_add", "👍", BO.id)
    assert said.reactions == {"👀": [GATE.id], "👍": [BO.id]}
    fetched = await heard.fetch()
    assert {str(one): one.me for one in fetched.reactions} == {"👀": True, "👍": False}
    await heard.remove_reaction("👀", discord.Object(GATE.id))
    emulator.react(GENERAL, said.id, "👍", user=BO, takes_back=True)
    await client.told("reaction_remove", "👍", BO.id)
    assert said.reactions == {}


async def test_a_thread_has_the_id_of_its_message(client: Watcher, emulator: DiscordEmulator) -> None:
    said = emulator.say("question")
    (heard,) = await client.heard("question")
    thread = await heard.create_thread(name="answers")
    assert thread.id == said.id
    await client.told("thread_create", thread.id)
    await thread.send("here")
    emulator.say("thanks", channel_id=thread.id)
    # The first one is the network's own: it points back to where the thread began.
    await client.heard("question", "", "here", "thanks")
    assert client.messages[1].type is discord.MessageType.thread_starter_message
    assert isinstance(client.messages[3].channel, discord.Thread)
    assert (await client.fetch_channel(thread.id)).id == thread.id
    assert [one.id for one in await client.guilds[0].active_threads()] == [thread.id]
    await thread.edit(archived=True)
    await client.told("thread_update", True)
    archived = [one.id async for one in client.channel().archived_threads()]
    assert archived == [thread.id]


async def test_a_private_thread_needs_no_message(client: Watcher, emulator: DiscordEmulator) -> None:
    thread = await client.channel().create_thread(name="aside")
    assert thread.is_private()
    public = await client.channel().create_thread(name="plaza", type=discord.ChannelType.public_thread)
    assert [message.type.name for message in emulator.messages()] == ["THREAD_CREATED"]
    assert emulator.messages()[0].content == public.name


async def test_attachments_go_both_ways(client: Watcher, emulator: DiscordEmulator) -> None:
    emulator.upload("plan of today.txt", b"tea, then work", content="look")
    (heard,) = await client.heard("look")
    (attachment,) = heard.attachments
    assert (attachment.filename, attachment.size) == ("plan_of_today.txt", 14)
    assert attachment.content_type == "text/plain"
    assert await attachment.read() == b"tea, then work"
    files = [discord.File(io.BytesIO(bytes([n]) * 3), f"{n}.bin") for n in (1, 2)]
    sent = await heard.reply("here", files=files)
    assert [one.data for one in emulator.messages()[1].attachments] == [b"\x01" * 3, b"\x02" * 3]
    assert await sent.attachments[1].read() == b"\x02" * 3
    kept = await sent.edit(attachments=[sent.attachments[1]])
    assert [one.filename for one in kept.attachments] == ["2.bin"]


async def test_embeds_and_layouts_come_back_as_they_were_sent(
    client: Watcher, emulator: DiscordEmulator
) -> None:
    embed = discord.Embed(title="Plan", description="Tea").add_field(name="when", value="now")
    sent = await client.channel().send(embed=embed)
    assert sent.embeds[0].title == "Plan" and sent.embeds[0].fields[0].value == "now"
    view = discord.ui.LayoutView(timeout=None)
    view.add_item(discord.ui.Container(discord.ui.TextDisplay("Run it?")))
    row: discord.ui.ActionRow[discord.ui.LayoutView] = discord.ui.ActionRow()
    row.add_item(discord.ui.Button(label="Approve", custom_id="apr:1"))
    view.add_item(row)
    laid_out = await client.channel().send(view=view)
    assert laid_out.flags.components_v2
    fetched = await client.channel().fetch_message(laid_out.id)
    assert [type(one).__name__ for one in fetched.components] == ["Container", "ActionRow"]
    assert emulator.messages()[1].components[0]["components"][0]["content"] == "Run it?"


async def test_commands_are_synced_in_one_call_and_keep_their_ids(
    client: Watcher, emulator: DiscordEmulator
) -> None:
    tree = discord.app_commands.CommandTree(client)

    @tree.command(name="ask", description="Ask the agent")
    async def ask(interaction: discord.Interaction, question: str) -> None:
        await interaction.response.send_message(f"{question}?")

    (first,) = await tree.sync()
    (again,) = await tree.sync()
    assert first.id == again.id
    assert [one.name for one in await tree.fetch_commands()] == ["ask"]
    emulator.slash("ask", {"question": "why"})
    await until(lambda: any(message.content == "why?" for message in emulator.messages()))


async def test_two_bots_see_each_other(connect: Connect, emulator: DiscordEmulator) -> None:
    gate = await connect()
    shy = await connect(SHY, reads_content=False)
    await gate.channel().send(f"hello <@{SHY.id}>", allowed_mentions=discord.AllowedMentions.all())
    (heard,) = await shy.heard(f"hello <@{SHY.id}>")
    assert heard.author.bot and heard.nonce is None


async def test_guilds_and_channels_come_and_go(client: Watcher, emulator: DiscordEmulator) -> None:
    made = emulator.moderation.create_channel(WORKSHOP, "ideas")
    await client.told("channel_create", "ideas")
    emulator.moderation.delete_channel(made.id)
    await client.told("channel_delete", "ideas")
    emulator.moderation.remove_bot(WORKSHOP)
    await client.told("guild_remove", WORKSHOP)
    emulator.moderation.add_bot(WORKSHOP)
    await client.told("guild_join", WORKSHOP)
    assert client.channel().name == "general"
