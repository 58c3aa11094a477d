"""The commands, a module each; light to import, the work is imported when a command runs."""

# Where each of the core's own commands is. No plugin's command may have one of these names.
COMMANDS = {
    "bench": "audiomatch.commands.bench:bench",
    "leaderboard": "audiomatch.commands.leaderboard:leaderboard",
    "compare": "audiomatch.commands.compare:compare",
    "rerun": "audiomatch.commands.rerun:rerun",
    "operating": "audiomatch.commands.operating:operating",
    "fit": "audiomatch.commands.fit:fit",
    "push": "audiomatch.commands.push:push",
    "predict": "audiomatch.commands.predict:predict",
    "score": "audiomatch.commands.score:score",
    "evaluate": "audiomatch.commands.evaluate:evaluate",
    "explain": "audiomatch.commands.explain:explain",
    "cache": "audiomatch.commands.cache:cache",
    "audit": "audiomatch.commands.audit:audit",
    "probe": "audiomatch.commands.probe:probe",
    "check": "audiomatch.commands.check:check",
    "new-plugin": "audiomatch.commands.new_plugin:new_plugin",
    "matchers": "audiomatch.commands.lists:matchers",
    "plugins": "audiomatch.commands.lists:plugins",
    "datasets": "audiomatch.commands.lists:datasets",
}
