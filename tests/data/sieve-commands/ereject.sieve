require "ereject";
ereject "Not here.";
