require "ereject";
ereject "Mail from this sender is unwelcome.";
