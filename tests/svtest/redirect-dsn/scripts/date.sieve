require "redirect-deliverby";
redirect :bytimeabsolute "tomorrow" "a@example.com";
