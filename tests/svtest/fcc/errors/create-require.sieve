require ["vacation", "fcc"];
vacation :fcc "Sent" :create "Gone.";
